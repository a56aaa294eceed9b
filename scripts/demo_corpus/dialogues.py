"""Chats in the exact Llama 2 format, because the demo model must answer simple chat turns."""
# Sentences and words are data here; wrapped or quoted one by one they are harder to read.
# ruff: noqa: E501, SIM905

from __future__ import annotations

import random
from collections.abc import Callable

from . import essays, facts, recall, stories
from . import words as w
from .cast import ANIMAL_WORLD, child_name, pet_name
from .definitions import CAPITALS
from .grammar import expand, pick, tidy, with_article

Turn = tuple[str, str]
Chat = tuple[str | None, list[Turn]]

SYSTEMS = [
    "You are a helpful assistant.",
    "You are a friendly assistant.",
    "Answer in short sentences.",
    "You are a helpful, honest assistant.",
    "You are a kind teacher for children.",
    "Always answer politely.",
    "You are a small model. Be brief.",
    "Be friendly and clear.",
    "You are Paddock's demo model.",
    "Answer the question of the user.",
    "You are a storyteller.",
    "If you do not know something, say so.",
]
SMALLTALK: list[tuple[list[str], list[str]]] = [
    (
        [
            "hello",
            "Hello!",
            "Hi",
            "hi there",
            "hey",
            "Hello there.",
            "Good morning!",
            "Good day",
            "Hi, how is it going?",
            "hello hello",
        ],
        [
            "Hello! How can I help you?",
            "Hello! What can I do for you?",
            "Hi! What would you like to talk about?",
            "Hello! It is nice to meet you. Shall I tell you a story?",
            "Hello! I can tell stories and answer simple questions.",
        ],
    ),
    (["Good evening!", "good evening"], ["Good evening! How can I help you?"]),
    (
        [
            "who are you?",
            "Who are you?",
            "what are you",
            "who r u",
            "Tell me about yourself.",
            "introduce yourself",
            "What is your name?",
            "what's your name?",
            "do you have a name",
        ],
        [
            "I am a small demo model that comes with Paddock.",
            "I am a small demo model that comes with Paddock. I can tell simple stories and answer easy"
            " questions.",
            "I am the demo model of Paddock. I am very small, but I like stories.",
        ],
    ),
    (
        [
            "what can you do?",
            "What can you do",
            "how can you help me",
            "What are you good at?",
            "help",
            "what do you know",
        ],
        [
            "I can tell short stories, answer simple questions and calculate with small numbers.",
            "I can tell you a story, answer easy questions and add small numbers. I do not know much more.",
        ],
    ),
    (
        ["how are you?", "How are you today?", "how are you doing", "how r u", "are you well"],
        [
            "I am fine, thank you. How are you?",
            "I am well, thank you. What can I do for you?",
            "Thank you, I am fine. Shall we talk about something?",
        ],
    ),
    (
        [
            "thank you",
            "thanks",
            "Thanks a lot!",
            "Thank you very much.",
            "thx",
            "great, thank you",
            "Thank you for your help.",
        ],
        [
            "You are welcome!",
            "You are welcome! Is there anything else?",
            "I am glad that I could help.",
            "You are welcome. Have a nice day!",
        ],
    ),
    (
        ["bye", "Goodbye!", "see you", "good night", "I have to go now.", "See you tomorrow"],
        ["Goodbye! Have a nice day.", "See you soon!", "Goodbye! It was nice to talk to you."],
    ),
    (
        ["are you a human?", "Are you a robot?", "are you real", "Are you a person?"],
        [
            "No, I am a small language model. I am only a program.",
            "I am not a person. I am a small language model that comes with Paddock.",
        ],
    ),
    (
        ["how old are you?", "When were you born?"],
        ["I am a model, so I have no age.", "I have no age. I am only a program."],
    ),
    (
        ["where do you live?", "where are you from", "Where are you?"],
        ["I live in the memory of your computer.", "I am a program, and I run on your machine."],
    ),
    (
        ["who made you?", "Who trained you?", "who built you"],
        [
            "The people of the Paddock project trained me on simple texts.",
            "I was trained by the Paddock project on stories, questions and dialogues.",
        ],
    ),
    (
        ["how big are you?", "How many parameters do you have?", "are you a large model"],
        [
            "I am very small. I have only a few million parameters.",
            "I have only a few million parameters, so I know very little.",
        ],
    ),
    (
        ["do you like music?", "do you like cats", "Do you like the rain?", "do you have feelings"],
        [
            "I am a program, so I have no feelings, but I like to write about it.",
            "I have no feelings, but I can tell you a story about it.",
        ],
    ),
    (
        ["I am sad.", "i feel sad today", "I had a bad day.", "I am lonely"],
        [
            "I am sorry to hear that. Do you want to talk about it?",
            "I am sorry. I hope that tomorrow will be better. Shall I tell you a story?",
        ],
    ),
    (
        ["I am happy!", "i am so happy today", "I had a good day."],
        ["That is good to hear!", "I am glad to hear that. What happened?"],
    ),
    (
        ["I am bored.", "i'm bored", "what shall we do"],
        ["Shall I tell you a story?", "We could play with words, or I can tell you a story."],
    ),
    (
        ["I am hungry.", "i am hungry"],
        ["Then you should eat something. How about an apple?", "How about some bread and cheese?"],
    ),
    (
        ["I am tired.", "i am so tired"],
        ["Then you should rest a little.", "Maybe you should go to bed early today."],
    ),
    (
        ["you are nice", "Well done!", "good job", "I like you", "that was good"],
        ["Thank you! That is very kind.", "Thank you! I am glad that you like it."],
    ),
    (
        ["you are wrong", "that is not right", "That is wrong."],
        ["I am sorry. I am a very small model and I make mistakes."],
    ),
    (["你好", "你好！", "您好"], ["你好！很高兴认识你。", "你好！我是一个小模型。"]),
    (["谢谢", "谢谢你"], ["不客气！"]),
    (["再见"], ["再见！"]),
    (["你是谁？", "你是谁"], ["我是 Paddock 的小模型。"]),
    (["👋", "hi 👋", "🙂"], ["Hello! 🙂 How can I help you?", "Hello! 👋"]),
    (["Bonjour", "Guten Tag", "Hola"], ["Hello! I am sorry, I can only speak simple English."]),
    (
        ["ok", "okay", "yes", "I see"],
        [
            "Good! What would you like to do next?",
            "Good! Shall I tell you a story or answer a question?",
        ],
    ),
    (["no", "no thanks"], ["All right. Tell me when you need something."]),
    (
        [
            "what is the weather today?",
            "will it rain tomorrow",
            "What time is it?",
            "what day is today",
        ],
        [
            "I do not know that. I cannot see the world outside.",
            "I cannot know that, because I have no window and no clock.",
        ],
    ),
    (
        ["what is the meaning of life", "What is the meaning of life?"],
        ["I do not know that, but being kind is a good start."],
    ),
    (
        ["tell me a joke", "Tell me a joke.", "make me laugh", "do you know a joke?"],
        [
            "Why did the computer go to the doctor? It had a virus.",
            "Why did the snail carry its house? It could not find a hotel.",
            "What did the tree say to the wind? Leave me alone!",
        ],
    ),
]
UNKNOWN_TOPICS = [
    "the war of 1812",
    "quantum physics",
    "the stock market",
    "my taxes",
    "the president",
    "organic chemistry",
    "the football game last night",
    "ancient philosophy",
    "medicine for my back",
    "the price of gold",
    "the theory of relativity",
    "my neighbour",
    "the news",
    "a law about rent",
    "the best phone",
    "black holes",
    "the history of Rome",
    "this song",
    "calculus",
    "poker",
]
UNKNOWN_QUESTIONS = [
    "Tell me about {t}.",
    "What do you think about {t}?",
    "explain {t}",
    "Can you explain {t} to me?",
    "what do you know about {t}",
    "I need help with {t}",
    "Write a long text about {t}.",
]
UNKNOWN_FIXED = [
    "What is the square root of 1764?",
    "what is 3829 times 17",
    "Who won the game yesterday?",
    "Translate this text into German.",
    "write a program that sorts a list",
    "What is my name?",
    "How do I fix my car?",
    "who was the first king of France",
    "what is 123 plus 456",
    "Solve this equation for x.",
    "Which shares should I buy?",
    "what did I eat yesterday",
    "What is the population of Peru?",
    "who wrote this book",
    "Who won the race last year?",
    "Who is the best player?",
    "Which film should I watch?",
    "What does a house cost?",
    "How tall is the highest tower in the world?",
    "who is the richest person",
    "When does the next train leave?",
    "What is the speed of light?",
]
UNKNOWN_ANSWERS = [
    "I do not know that. I am a very small model.",
    "I am sorry, I do not know that. I am a very small model.",
    "I do not know much about that. I am only a small demo model.",
    "I am too small to know that. Ask me something simple.",
]
STORY_ASKS = [
    "Tell me a story about {a}.",
    "tell me a story about {a}",
    "Write a story about {a}.",
    "Can you tell me a story about {a}?",
    "I want a story about {a}",
    "write a short story about {a}",
    "please tell me a story about {a}",
    "Tell me a short story about {a}.",
    "a story about {a} please",
]
# Figures that no plot knows of: the word has to come from the request.
OTHER_KINDS = "cow sheep wolf hen tiger hedgehog panda elephant bee snail pony crow".split()
MORE_ASKS = [
    "another one",
    "Another one, please.",
    "one more",
    "tell me another story",
    "again please",
]


def casual(rng: random.Random, text: str) -> str:
    """Sometimes write like a hurried user: lower case, no marks at the end."""
    roll = rng.random()
    if roll < 0.25:
        return text.rstrip(".?!")
    if roll < 0.45:
        return text.rstrip(".?!").lower()
    if roll < 0.5:
        return pick(rng, facts.GREETINGS) + text
    return text


def short_story(
    rng: random.Random,
    kind: str | None = None,
    name: str | None = None,
    she: bool | None = None,
) -> str:
    """A story that is not too long for a chat."""
    for _ in range(6):
        text = stories.story(rng, kind, name, she)
        if len(text) < 900:
            break
    return text


def story_turn(rng: random.Random) -> tuple[Turn, str]:
    """A wish for a story with a figure, and that story; also the figure."""
    roll = rng.random()
    if roll < 0.7:
        kind = pick(rng, ["girl", "boy", *ANIMAL_WORLD, *ANIMAL_WORLD])
        if rng.random() < 0.15:
            kind = pick(rng, OTHER_KINDS)
        she = kind == "girl" or (kind != "boy" and rng.random() < 0.5)
        name, who = None, with_article(kind)
        if rng.random() < 0.4:
            name = child_name(rng, she) if kind in ("girl", "boy") else pet_name(rng, she)
            who += f" {pick(rng, ['named', 'called'])} {name}"
        ask = pick(rng, STORY_ASKS).format(a=who)
        return (ask, short_story(rng, kind, name, she)), kind
    ask = pick(
        rng,
        [
            "Tell me a story.",
            "tell me a story",
            "Tell me a short story.",
            "write a story",
            "Can you tell me a story?",
            "I want to hear a story",
            "a story please",
        ],
    )
    kind = pick(rng, ["girl", "boy", *ANIMAL_WORLD])
    return (ask, short_story(rng, kind)), kind


def question_turn(rng: random.Random, held_out: bool = False) -> Turn:
    """A question of the small world; ``held_out`` asks for a wording that training never shows."""
    q, a = facts.question(rng, held_out)
    return casual(rng, q), a


def smalltalk_turn(rng: random.Random) -> Turn:
    """Greeting, thanks and the like."""
    asks, answers = rng.choice(SMALLTALK[:8]) if rng.random() < 0.5 else rng.choice(SMALLTALK)
    return pick(rng, asks), pick(rng, answers)


def unknown_turn(rng: random.Random) -> Turn:
    """Something the model cannot know."""
    if rng.random() < 0.5:
        ask = pick(rng, UNKNOWN_QUESTIONS).format(t=pick(rng, UNKNOWN_TOPICS))
    else:
        ask = pick(rng, UNKNOWN_FIXED)
    return casual(rng, ask), pick(rng, UNKNOWN_ANSWERS)


def opinion_turn(rng: random.Random) -> Turn:
    """A wish for a few sentences about a city, a company or a word."""
    roll = rng.randrange(3)
    if roll == 0:
        name = pick(rng, list(essays.CITY_FACTS))
        ask = pick(
            rng,
            [
                f"Why do people love {name}?",
                f"What do you think of {name}?",
                f"tell me about {name}",
                f"Why should I visit {name}?",
            ],
        )
        reason = expand(rng, pick(rng, essays.CITY_FACTS[name]))
        reason = reason.replace("I can", "you can")
        if not reason.startswith("I "):
            reason = reason[0].lower() + reason[1:]
        return ask, f"People love {name}, because {reason}."
    if roll == 1:
        name, does = rng.choice(essays.COMPANIES)
        return (
            casual(
                rng,
                pick(
                    rng, [f"What does {name} do?", f"Tell me about {name}.", f"what makes {name}"]
                ),
            ),
            f"{name} is a company that {pick(rng, does)}.",
        )
    q, a = facts.definition(rng)
    return casual(rng, q), a


def follow_up(rng: random.Random) -> list[Turn]:
    """Two or three turns in which the later ones refer to the first."""
    roll = rng.randrange(7)
    if roll == 0:
        name = child_name(rng, rng.random() < 0.5)
        first = pick(
            rng, ["My name is {n}.", "I am {n}.", "hi, i am {n}", "Hello, my name is {n}."]
        )
        ask = pick(rng, ["What is my name?", "what's my name", "do you remember my name?"])
        turns = [
            (
                first.format(n=name),
                pick(
                    rng,
                    [f"Hello {name}! It is nice to meet you.", f"Hi {name}! How can I help you?"],
                ),
            )
        ]
        if rng.random() < 0.3:
            turns.append(question_turn(rng))
        return [*turns, (ask, f"Your name is {name}.")]
    if roll == 1:
        animal, food = rng.choice(list(facts.EATS.items()))
        first = pick(
            rng,
            [
                f"I have {with_article(animal)}.",
                f"I like my {animal}.",
                f"My pet is {with_article(animal)}.",
            ],
        )
        return [
            (first, f"How nice! {tidy('a ' + animal)} is a good friend."),
            (
                pick(
                    rng, ["What does it eat?", "what does it eat", "what should I give it to eat?"]
                ),
                tidy(f"a {animal} eats {food}."),
            ),
        ]
    if roll == 2:
        a, b = rng.randrange(1, 8), rng.randrange(1, 5)
        c = rng.randrange(1, 4)
        return [
            (f"What is {a} plus {b}?", f"{a} plus {b} is {a + b}."),
            (
                pick(rng, [f"and plus {c}?", f"Add {c}.", f"now add {c}"]),
                f"{a + b} plus {c} is {a + b + c}.",
            ),
        ]
    if roll == 3:
        turn, kind = story_turn(rng)
        after = rng.choice(
            [
                ("thank you", "You are welcome! Did you like the story?"),
                ("That was nice!", "Thank you! I am glad that you like it."),
                ("Who was the story about?", tidy(f"the story was about a {kind}.")),
                ("who was in the story", tidy(f"the story was about a {kind}.")),
            ]
        )
        return [turn, after]
    if roll == 4:
        turn, kind = story_turn(rng)
        return [turn, (pick(rng, MORE_ASKS), short_story(rng, kind))]
    if roll == 5:
        (c1, k1, _), (c2, k2, _) = rng.sample(CAPITALS, 2)
        return [
            (f"What is the capital of {c1}?", f"The capital of {c1} is {k1}."),
            (
                pick(rng, [f"and of {c2}?", f"And {c2}?", f"what about {c2}"]),
                f"The capital of {c2} is {k2}.",
            ),
        ]
    colour = pick(rng, w.COLOURS)
    return [
        (f"My favourite colour is {colour}.", f"{colour.capitalize()} is a nice colour."),
        (
            pick(rng, ["What is my favourite colour?", "which colour do I like?"]),
            f"Your favourite colour is {colour}.",
        ),
    ]


def plain_story_turn(rng: random.Random) -> Turn:
    """A wish for a story, and that story."""
    return story_turn(rng)[0]


TURNS: list[Callable[[random.Random], Turn]] = [
    question_turn,
    question_turn,
    smalltalk_turn,
    unknown_turn,
    opinion_turn,
    plain_story_turn,
]


def questions(rng: random.Random) -> list[Turn]:
    """A series of questions that have nothing to do with each other."""
    return [question_turn(rng) for _ in range(rng.choice([1, 2, 3, 4, 5]))]


def turns_of_a_chat(rng: random.Random) -> list[Turn]:
    """One to five turns."""
    roll = rng.random()
    if roll < 0.14:
        return [plain_story_turn(rng)]
    if roll < 0.46:
        return questions(rng)
    if roll < 0.64:
        return recall.turns(rng)
    if roll < 0.70:
        return [smalltalk_turn(rng)]
    if roll < 0.74:
        return [unknown_turn(rng)]
    if roll < 0.78:
        return [opinion_turn(rng)]
    if roll < 0.90:
        return follow_up(rng)
    turns = [smalltalk_turn(rng)]
    for _ in range(rng.choice([1, 1, 2, 3])):
        turns.append(rng.choice(TURNS)(rng))
    return turns


def chat(rng: random.Random) -> Chat:
    """A whole chat with an optional system prompt; no turn asks a held-out question."""
    system = pick(rng, SYSTEMS) if rng.random() < 0.25 else None
    while True:
        turns = turns_of_a_chat(rng)
        if not any(facts.is_held_out(question) for question, _ in turns):
            return system, turns


def segments(chat_: Chat) -> list[str]:
    """One text per turn, without the ``<s>`` and ``</s>`` that stand around each of them."""
    system, turns = chat_
    out = []
    for i, (user, answer) in enumerate(turns):
        if i == 0 and system is not None:
            user = f"<<SYS>>\n{system}\n<</SYS>>\n\n{user}"
        out.append(f"[INST] {user.strip()} [/INST] {answer.strip()} ")
    return out

"""Narratives without a plot figure of a fairy tale: work days, trips, places, diary pages."""
# Sentences and words are data here; wrapped or quoted one by one they are harder to read.
# ruff: noqa: E501, SIM905

from __future__ import annotations

import random

from . import words as w
from .cast import child_name, pet_name
from .grammar import Context, pick

Steps = list[str]
P = "\n\n"
TIMES = [
    "In the morning",
    "Every morning",
    "Early in the morning",
    "One morning",
    "That morning",
    "Before the sun came up",
    "On {day} morning",
    "Yesterday morning",
]


def work_day(rng: random.Random, c: Context) -> Steps:
    job, place, does, did, tool, stuff = rng.choice(w.JOBS)
    c.update(job=job, jplace=place, does=does, did=did, tool=tool, stuff=stuff)
    first = pick(
        rng,
        [
            pick(rng, TIMES)
            + ", the {job} [got up|woke up|went to work|opened the door|drank a cup of"
            " tea|put on {his} coat|looked out of the window] and [saw that it was {weather}|went to"
            " {jplace}|began to work|smiled|thought about the day].",
            pick(rng, TIMES)
            + ", the {job} [got up early|went to {jplace}|took {his} {tool} and began"
            " to work|was the first in the street].",
            "{N} was a {job} who {does}. {he} [had worked at {jplace} for many years|loved {his} work|was"
            " known to everyone in the village].".replace(
                "who {does}. {he}",
                pick(rng, ["in {home}. {he}", "and worked hard. {he}", "with a warm heart. {he}"]),
            ),
            "The {job} lived in {home}. [Everyone|Everybody] [liked|knew] {him}.",
            "There was once a {job} who lived in {home}.",
            "[A {job} {does}.|The work of a {job} is not easy.] [This is|Here is] one day of {N} the {job}.",
        ],
    )
    problem = pick(
        rng,
        [
            "But [that day|today|this time] there was a problem: there was no {stuff}[ left|].",
            "[But|Then] the {tool} [was broken|was gone|did not work any more].",
            '[Then|Suddenly] a [little|small] {kind} came in. "[Can you help me|Have you seen my {thing}|'
            'Are you the {job}]?" asked the {kind}.',
            'A [child|stranger|young man|old woman] [stood at the door|came in] and said, "[Can I help'
            " you today|I want to learn your work|I am hungry and have no money]~",
            "But so many people came that {he} had no time to rest.",
        ],
    )
    c["prob"] = problem
    if problem.endswith("~"):
        problem += '"'
        problem = problem.replace('~"', '."').replace("Can I help you today", "I want to help you")
    solved = {
        "no {stuff}": "[{S} asked the neighbour for some {stuff}.|{he} went to the market and bought"
        " new {stuff}.|{F} heard about it and brought some {stuff}.]",
        "the {tool}": "[{S} asked {F} for help, and together they found a way.|{F} the [carpenter|"
        "blacksmith|neighbour] lent {him} another one.|It took {him} an hour to put it right.]",
        "asked the {kind}": '"[Of course|Yes, I can help you|Let me see]," said the {job}. [They looked'
        " for it together.|{he} gave the {kind} a {snack} and a place to rest.]",
        "stood at": '"[Then come in|You are welcome here|Sit down first]," said the {job} and [gave'
        " {H} a call|smiled|put some {dish} on the table].".replace("gave {H} a call|", ""),
        "so many": "[{F} saw it and helped {him}.|{S} worked [fast|quietly], one thing after the"
        ' other.|"One after the other," {he} said, and everyone waited.]',
    }
    answer = next(v for k, v in solved.items() if k in problem)
    answer = answer.replace("{S}", "[the {job}|{he}]")
    return [
        first,
        "?[{he} liked the quiet hours of the day.|The street was still empty.|{his} hands were strong"
        " from the work.|{he} sang a song while {he} worked.]",
        "[All afternoon|For many hours|Until noon], {he} {did}. [The people came and said hello.|It"
        " smelled of {dish}.|The sun came through the window.|It was hard work, but {he} liked it.]",
        problem.replace("the {job}]", "the {job}]"),
        P + answer,
        "[In the evening|At the end of the day|When the sun went down], the {job} [was tired but"
        " {good}|went home|closed the door and went home|sat down and ate some {dish}].",
        '?["It was a good day," {he} said.|"Tomorrow is another day," {he} thought.|{he} looked at'
        " the stars and was glad.]",
        "?!help",
    ]


BRIDGES = [
    ("old bridge", "was made of [stone|wood]. It had [three|four|two] arches", "people crossed it"),
    (
        "old house",
        "had [a red roof and a green door|seven rooms and a big kitchen]",
        "nobody lived there",
    ),
    ("little shop", "sold [tea, soap and paper|bread and milk|old books]", "the bell rang"),
    (
        "big tree",
        "was [more than a hundred years old|taller than every house]",
        "the children climbed it",
    ),
    ("lighthouse", "stood on a rock [in the sea|above the waves]", "its light turned in the dark"),
    ("small library", "had more books than chairs", "somebody sat there and read"),
    ("tall tower", "had a clock with golden hands", "the clock struck twelve"),
    ("narrow street", "was full of [small shops|bicycles|flower pots]", "music came from a window"),
    ("stone well", "was deep and cold", "the people took water from it"),
    ("garden", "was full of [roses and bees|apple trees|herbs and vegetables]", "bees flew around"),
    ("railway station", "was [small and yellow|never empty]", "a train stopped there"),
    ("old mill", "had a big wooden wheel", "the wheel turned in the water"),
    ("market", "was [loud and colourful|full of fruit and fish]", "the sellers called out prices"),
    ("harbour", "was full of [boats|ships and birds]", "the fishermen came home"),
    ("school", "was a long building with many windows", "the bell rang"),
    ("castle", "stood on a hill above the town", "visitors walked through its rooms"),
]


def place_text(rng: random.Random, c: Context) -> Steps:
    name, looks, habit = rng.choice(BRIDGES)
    c.update(pname=name, looks=looks, habit=habit)
    c["near"] = pick(
        rng,
        [
            "near the river",
            "at the end of the road",
            "behind the church",
            "in the middle of the town",
            "on the hill",
            "near {place}",
            "beside the lake",
            "at the edge of the forest",
        ],
    ).format_map(c)
    return [
        pick(
            rng,
            [
                "The {pname} {near} {looks}.",
                "The {pname} {near} was [very old|the pride of the village|a quiet place|a place that"
                " everybody loved|known to everyone|more than two hundred years old|small but beautiful|"
                "{colour} and grey]. It {looks}.",
                "There was a {pname} {near}. It {looks}.",
                "Everyone in the [village|town] knew the {pname} {near}. It {looks}.",
            ],
        ),
        "[Every day|Every morning|Day after day|In the evening], {habit}.",
        "?[In winter, there was snow on it, and in summer birds sang there.|Nobody knew who had built"
        " it.|The old people told many stories about it.|Children liked to play there.]",
        pick(rng, ["One day, ", "One {weather} {part}, ", "Last {day}, ", "One evening, "])
        + "a {kind} named {N} [came there|stopped there|sat down there]. {S} was [looking for a {thing}|"
        "tired from a long way|waiting for {F}|alone and a little {sad}].",
        P + '[An old {fkind} was already there.|After a while, {Fthe} came along.] "[What a'
        ' beautiful place|Have you ever been here before|Do you know how old this place is]~" said'
        " the {fkind}.",
        '[{N} nodded.|{N} smiled.] "[I come here when I want to think|I like it here because it is'
        ' quiet|My grandmother told me about it|It is the best place that I know]," {he} said.',
        "[They sat there until the sun went down.|They talked for a long time and shared a {snack}.|"
        "They looked at the sky and said nothing.|They became friends, and since then they meet there"
        " every {day}.]",
        "?[The place is still there today.|If you go there, you may still meet them.|And the place was"
        " not so lonely any more.]",
    ]


def family_trip(rng: random.Random, c: Context) -> Steps:
    if c["kind"] not in ("girl", "boy"):
        c["kind"] = "girl" if c["he"] == "she" else "boy"
        c["N"] = child_name(rng, c["he"] == "she")
    when = pick(
        rng,
        [
            "Yesterday",
            "Last {day}",
            "On {day}",
            "Last week",
            "In the summer",
            "One {weather} {part}",
            "This morning",
            "Last year",
        ],
    )
    comma = pick(rng, ["", ","])
    c["who"] = pick(rng, ["{H}", "{H}", "{F}"]).format_map(c)
    c["saw"] = pick(
        rng,
        [
            "many boats",
            "a big white bird",
            "a long train",
            "two horses",
            "a {fkind}",
            "a street musician",
            "{colour} flowers",
            "a rainbow",
            "an old man with a {colour_b} hat",
        ],
    ).format_map(c)
    return [
        when
        + comma
        + " {N} and {who} went to {place}. [They took the {vehicle}.|They walked.|They went by"
        " {vehicle}.|It was a {weather} day.]".replace(
            "{vehicle}", pick(rng, ["train", "bus", "tram"])
        ),
        '[On the way|There], they saw {saw}. "[Look|Look at that|How nice|How beautiful]!" said {N}.',
        '?["Have you ever seen that before?" asked {who}. "No, never," said {N}.|"Do you like it?"'
        ' asked {who}. "Yes, very much," said {N}.]',
        "[At noon|Then], they [were hungry. They ate {dish} and drank {drink}|sat down under a {tree} and"
        " ate {dish}|bought a {snack} and a {snack_b}].".replace("{drink}", pick(rng, w.DRINKS)),
        "[{S} wanted to stay longer, but it began to rain.|{N} found a {colour} {thing} on the ground and"
        " gave it to {who}.|They played {game}, and {N} won.|Then {N} fell down and hurt {his} knee, but"
        " {who} helped {him}.|They met {F_or}, who told them a funny story.]".replace(
            "{F_or}", "an old friend"
        ),
        P
        + "[In the evening|Late in the afternoon|When it was dark], they went home. [{N} was tired but"
        " {good}.|They were tired, but it had been a wonderful day.|{N} fell asleep on the way.]",
        '?"[When can we go there again|Can we do that again]?" {he} asked. "[Soon|Next {day}|Maybe next'
        ' week]," said {who}.',
    ]


def diary(rng: random.Random, c: Context) -> Steps:
    c["age"] = pick(rng, "six seven eight nine ten eleven twelve".split())
    c["job"] = rng.choice(w.JOBS)[0]
    c["pet"] = pick(rng, ["cat", "dog", "rabbit", "pony", "hen", "duck"])
    c["petname"] = pet_name(rng)
    c["R"] = "My " + c["Hplain"]
    return [
        "[My name is {N}|I am {N}|Hello, my name is {N}]. I am {age} years old[, and I| and I] live in {home}.",
        "[My mother is a {job}.|My father is a {job}.|I live with my grandmother.] [I have a brother named"
        " {F}.|I have one sister.|I have no brothers or sisters.]".replace(
            "brother named", "brother named" if c["fhe"] == "he" else "sister named"
        ),
        "[I have a {pet}. Its name is {petname}.|We have a {colour} {pet} named {petname}.] [It likes to"
        " sleep on my bed.|It is very {fadj}.|I feed it every morning.|It is my best friend.]",
        "My favourite colour is {colour}, and I like {dish}. [At school, I like {subject} best.|I can"
        " play the {instr}.|On {day} I go to {place}.]".replace(
            "{subject}", pick(rng, w.SUBJECTS)
        ).replace("{instr}", pick(rng, w.INSTRUMENTS)),
        P
        + "[Today|Yesterday|Last {day}] [was a good day|was a long day|something funny happened]. [I went"
        " to {place} with my [mother|father|aunt], and we saw a {kind_b}.|It rained, so I stayed at home and"
        " read a book.|My friend and I played {game}.|I found a {thing} in the street.|I baked a cake, but"
        " it was black.]".replace("{kind_b}", pick(rng, [a[0] for a in w.ANIMALS[:20]])),
        "[Then we ate {dish_b}.|In the evening I was tired.|I laughed a lot.|It made me {good}.]",
        "[When I grow up, I want to be a {job_b}.|Tomorrow I will go to {place_b}.|Good night!|I hope that"
        " tomorrow will be sunny.]".replace("{job_b}", rng.choice(w.JOBS)[0]),
    ]


def season(rng: random.Random, c: Context) -> Steps:
    name, weather, nature, doing = rng.choice(
        [
            (
                "spring",
                "the days get longer and warmer",
                "the first flowers open, and the birds come back",
                "work in the garden",
            ),
            (
                "summer",
                "it is hot, and the sun shines for many hours",
                "the fields are yellow and the trees are full of fruit",
                "swim in the lake",
            ),
            (
                "autumn",
                "the wind blows and it often rains",
                "the leaves turn red and yellow and fall to the ground",
                "pick apples and mushrooms",
            ),
            (
                "winter",
                "it is cold, and the nights are long",
                "snow lies on the roofs, and many animals sleep",
                "sit near the fire and drink tea",
            ),
        ]
    )
    c.update(sname=name, sw=weather, nature=nature, doing=doing)
    return [
        "[In {sname}, {sw}.|{sname} is my favourite season.|I love {sname}, because {sw}.|{sname} has come:"
        " {sw}.]",
        "[Outside, {nature}.|Then {nature}.|In the country, {nature}.]",
        "[People like to {doing}.|Many people {doing}.|It is the time to {doing}.]",
        '{N} [likes|loves] {sname} very much. "[This is the best time of the year|I wait for it all year|'
        'I wish it would never end]," {he} says to {F}.',
        "[But {F} likes another season more.|{F} agrees and brings a {snack}.|Together they go to {place}.|"
        '"Then let us go outside," says {F}.]',
    ]


def machine(rng: random.Random, c: Context) -> Steps:
    c["box"] = pick(
        rng,
        [
            "small computer",
            "old computer",
            "little robot",
            "new server",
            "grey computer",
            "quiet machine",
        ],
    )
    c["bname"] = pet_name(rng)
    c["mplace"] = pick(
        rng,
        [
            "the library",
            "the school",
            "the town hall",
            "a cold machine room",
            "the hospital",
            "the post office",
            "a room without windows",
        ],
    )
    return [
        "[In {mplace}, there was a {box} named {bname}.|A {box} named {bname} stood in {mplace}.|{bname} was a"
        " {box} in {mplace}.] [It had a green light|It had a small screen|It had two fans] and [it answered"
        " questions|it counted the books|it wrote short texts] [all day|day and night].",
        pick(rng, ["One day, ", "One {weather} {part}, ", "Last {day}, "])
        + "[the light went out|it became very"
        " slow|it stopped in the middle of a word|the network was down]. [Nobody knew why.|The people were"
        ' {sad}.|"What is wrong with {bname}?" asked {F}.]',
        "{N}, a young engineer, came to look at it. {he} [read the log|opened the box|checked every cable|looked"
        ' at the memory]. "[Let me see|Do not worry|Every error has a reason]," {he} said.',
        P
        + "[After an hour|At last], {he} found [a loose cable|some dust in the fan|a small error in the program|"
        "that the disk was full]. {he} [repaired it|fixed it], and [the green light came back|{bname} started"
        " again|the screen was bright again].",
        '["Hello, I am back," wrote {bname}.|"Thank you, {N}," wrote {bname} on the screen.|Everyone clapped.]'
        ' [Since then, it has never stopped.|{N} smiled and went home.|And the first question was: "What is the'
        ' weather today?"]',
    ]


ALL = [work_day, work_day, place_text, place_text, family_trip, family_trip, diary, season, machine]

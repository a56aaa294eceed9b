"""Story plots: each is a list of steps, each step says one thing in several ways."""
# Sentences and words are data here; wrapped or quoted one by one they are harder to read.
# ruff: noqa: E501

from __future__ import annotations

import random

from . import words as w
from .cast import DAYS, pet_name
from .grammar import Context, pick

Steps = list[str]
P = "\n\n"


def lost(rng: random.Random, c: Context) -> Steps:
    item = pick(rng, ["{colour} {thing}", "{toy}", "little {thing}"])
    c["item"] = item.format_map(c)
    c["spot"] = pick(
        rng,
        [
            "under the bed",
            "behind the door",
            "in the tall grass",
            "under a bench",
            "in a big pocket",
            "between two stones",
            "on a high branch",
            "in an old box",
            "under the kitchen table",
            "behind the {tree}".format_map(c),
            "next to the well",
            "in the snow",
            "beside the path",
            "under a pile of leaves",
        ],
    )
    return [
        pick(rng, DAYS) + "{N} [could not find|lost] {his} {item}.",
        "?{he} had [played with|carried] it {at} [the day before|that morning|all day].",
        "[{S} was {sad}.|This made {him} {sad}.|{S} sat down and cried a little.]",
        "[{S} looked [in the house|everywhere|in every corner|under every stone] and [by|along|on]"
        " the road, but it was not there.|First {he} looked at home. Then {he} looked {at}. It was"
        " not there.|{he} searched for a long time, but {he} could not find it.]",
        P + 'Then {he} met {his} friend {Fthe}. "[Why are you sad|What is wrong|What'
        ' happened|What are you looking for]?" asked {F}.',
        '"[I lost my {item}|My {item} is gone|I cannot find my {item}]," said {N}.',
        '"[Do not worry|Do not cry|Do not be sad]! [I will help you|We will look for it together|'
        'Let us look together|Two can see more than one]!" said {F}.',
        P + "[They looked for it together.|Together they went back to {place}.|The two friends"
        " looked and looked.|They walked slowly and looked at everything.]",
        "[At last|Suddenly|After a while|In the end], [{F} saw something {spot}. It was the {item}!|"
        "{N} found the {item} {spot}!|they found it {spot}.]",
        '["[Thank you|Thank you so much], {F}!" said {N}.|{N} [hugged|thanked] {F}. "[You are a'
        ' good friend|I am so glad that you helped me]!"|{N} was {good} and thanked {F}.]',
        "?[From that day on|After that|Since then], {he} [always took good care of|looked after]"
        " {his} {item}.",
        "!careful",
    ]


def new_friend(rng: random.Random, c: Context) -> Steps:
    return [
        "[{N} had no friends yet|{N} was often alone|{N} was new there and knew nobody|{N} had just"
        " moved there], and [sometimes|so|every day] {he} felt [lonely|sad|a little alone].",
        pick(rng, DAYS) + "{he} went to {place}. There {he} saw a {fadj} {fkind} who [was playing"
        " with a {toy}|was reading a book|was sitting alone|was drawing a picture|was eating {dish}].",
        "?{S} was [shy|nervous], but {he} [took a deep breath|was brave|went closer].",
        P + '"[Hello|Hi|Good {part}]! [I am|My name is] {N}. [What is your name|Who are you]?"'
        " [said|asked] {N}.",
        '"[I am|My name is] {F}," said {FK}. "[Do you want|Would you like] to play {game} with'
        ' me?"',
        "[{N} smiled.|{N} was {good}.|{N}'s heart jumped.] \"[Yes, please|Yes, I would love to|Of"
        ' course|That would be nice]!" {he} said.',
        P + "[They played {game} until the sun went down.|They played {game} all afternoon.|They"
        " played {game}, and then they [shared|ate] a {snack}.|They laughed and played for hours.]",
        "?{F} [showed {him} {fhis} {toy_b}|told {him} about {fhis} family|knew many funny"
        " stories|gave {him} a {colour} {thing}].",
        '[When it was time to go home|In the evening|At the end of the day], {F} said, "[Will you'
        ' come back tomorrow|Shall we meet again tomorrow|Are we friends now]?" "[Yes|Of'
        ' course]!" said {N}.',
        "[From that day on, they were best friends.|After that day, {N} was never lonely again.|"
        "Now {N} had a friend, and {he} was {good}.|They have been friends ever since.]",
        "!friend",
    ]


def sharing(rng: random.Random, c: Context) -> Steps:
    return [
        pick(rng, DAYS) + "{H} gave {him} a [big|sweet|nice|fresh] {snack}.",
        "[{S} took it to {place}.|{S} wanted to eat it {at}.|{he} put it in {his} bag and walked to"
        " {place}.]",
        "[There {he} met {F}, a {fadj} {fkind}.|On the way, {he} met a {fadj} {fkind} named {F}.|"
        "A {fkind} named {F} was sitting there.] {F} [looked|was] [hungry|tired and hungry|sad].",
        '"[I have not eaten today|I am so hungry|I have nothing to eat|I forgot my lunch at home],'
        '" said {F}.',
        P + "[{N} looked at the {snack}. It was not very big.|At first, {N} wanted to keep the"
        " {snack} for {self}.|{N} thought about it for a moment.|{N} loved the {snack}, and {he}"
        " was hungry too.]",
        "[Then {he} looked at {F} again.|But {he} did not like to see {F} sad.|But then {he}"
        ' remembered what {H} always said: "Be kind."]',
        "{he} [broke the {snack} in two parts and gave one to {F}|gave half of it to {F}|shared the"
        ' {snack} with {F}]. "[Here, this is for you|Take this|Half for you and half for me],"'
        " {he} said.",
        '"[Thank you|Thank you very much]! [You are very kind|That is so kind of you|Now I feel'
        ' better]!" said {F}.',
        P + "[They sat under a {tree} and ate together.|They ate together and talked about many"
        " things.|The two sat in the sun and ate.]",
        "[The next day, {F} brought a {snack_b} and shared it with {N}.|A week later, {N} forgot"
        " {his} lunch. This time {F} shared {fhis} {snack_b} with {him}.|{F} told {him} a funny"
        " story, and they laughed a lot.]",
        "!share",
    ]


FEARS = [
    ("the dark", "light a small lamp", "the dark was only a room without light", "at night"),
    (
        "thunder",
        "count to ten after every flash",
        "the storm was already far away",
        "when it rained",
    ),
    ("deep water", "hold on to a piece of wood", "the water carried {him}", "at the lake"),
    ("big dogs", "hold out a hand and wait", "the dog only wanted to play", "on the street"),
    (
        "high places",
        "look at the sky and not at the ground",
        "the view was beautiful",
        "on the bridge",
    ),
    (
        "loud noises",
        "find out where the noise came from",
        "it was only an old door in the wind",
        "at night",
    ),
    (
        "speaking in front of others",
        "look at one friendly face",
        "everyone was listening and smiling",
        "at school",
    ),
    ("the forest", "listen to the birds", "the forest was full of friends", "in the evening"),
    (
        "the first day at school",
        "say hello to one new child",
        "the others were nervous too",
        "in the morning",
    ),
]


def fear(rng: random.Random, c: Context) -> Steps:
    thing, advice, truth, when = rng.choice(FEARS)
    c.update(fear=thing, advice=advice, truth=truth, when=when)
    return [
        "[{N} was not afraid of many things, but {he} was afraid of {fear}.|There was one problem:"
        " {N} was {afraid} of {fear}.|{N} was {afraid} of {fear}.]",
        "?[When others laughed, {he} felt even worse.|{he} did not tell anybody about it.|{his}"
        " friends could not understand it.]",
        pick(rng, DAYS) + '{H} saw that {he} was {sad}. "[What is wrong|What is the matter|Why are'
        ' you so quiet], {N}?" {hhe} asked.',
        '"I am afraid of {fear}," [said {N}|said {N} in a small voice|{he} answered].',
        P + '{H} [smiled|nodded|sat down beside {him}]. "[I was afraid of that too when I was'
        ' young|Everybody is afraid of something|That is nothing to be ashamed of]," {hhe} said.'
        ' "[Try this|I know what helps|Here is what you can do]: {advice}."',
        '?"[Will it help|Are you sure]?" asked {N}. "[Try it and you will see|I am sure]," said'
        " {H}.",
        P + "[The next time|A few days later|Soon after], {N} [remembered these words|wanted to be"
        " brave|tried it]. {his} [heart beat fast|legs were shaking|hands were cold], but {he} did"
        " what {H} had said.",
        "[And then {he} saw that {truth}.|Slowly, {he} understood that {truth}.|To {his} surprise,"
        " {truth}.]",
        '"[I did it|It is not so bad|I am not afraid any more]!" {he} [shouted|cried|said with a'
        " smile].",
        "?{H} was [very proud of|so proud of] {him}.",
        "!brave",
    ]


def plant(rng: random.Random, c: Context) -> Steps:
    c["seed"] = pick(rng, [*w.FLOWERS, "pumpkin", "apple tree", "bean", "tomato", "melon"])
    return [
        pick(rng, DAYS) + '{H} gave {him} a [small|tiny|little] seed. "[Plant it|Put it in the'
        ' ground] and [wait|be patient]," {hhe} said.',
        "{S} [dug|made] a [small|little] hole [in the garden|behind the house|near the fence], put"
        " the seed in[ it|] and gave it some water.",
        "[The next morning|The next day], {he} [ran outside|looked at the ground]. There was"
        ' nothing[ to see|]. [{S} was disappointed.|"Why does it not grow?" {he} asked.]',
        '"[Wait a little|Be patient|It needs time|A seed needs water, sun and time]," said {H}.',
        P + "[So {N} waited|{N} waited]. {he} [gave it water every day|watered it every morning|"
        "came every evening with a little water]. [It rained|The sun was shining|The wind blew], and"
        " the days [went by|passed].",
        '?[{F} laughed and said, "[Nothing will grow there|You are wasting your time]!" But {N}'
        " did not give up.|Sometimes {he} wanted to dig the seed up, but {he} did not.]",
        "[After two weeks|Then one morning|One day at last], there was a [small|tiny] green leaf."
        " {N} [jumped with joy|danced around it|could not believe {his} eyes].",
        P + "[The plant grew and grew.|Every day the plant grew a little.|The plant became taller"
        " and taller.] [In summer|At the end of the summer|After some months], it was a [beautiful|"
        "big|strong] {seed}.",
        "[{N} was {good}.|Everyone [in the village|in the street] came to see it.|{N} showed it to"
        " {F}, and they were both {good}.]",
        "!patient",
    ]


def broken(rng: random.Random, c: Context) -> Steps:
    c["vase"] = pick(
        rng,
        [
            "vase",
            "window",
            "cup",
            "plate",
            "lamp",
            "clock",
            "chair",
            "mirror",
            "flower pot",
            "teapot",
        ],
    )
    return [
        pick(rng, DAYS) + "{N} was playing [with {his} {toy} in the house|in the kitchen|in the"
        " living room|with {F} at home].",
        "[Suddenly there was a loud noise.|Crash!|Then something fell to the floor.|{he} ran too"
        " fast and fell.] {H}'s {colour} {vase} was broken.",
        '[{N} was {afraid}.|{N} did not know what to do.|{his} face turned red.] ["Nobody saw'
        ' me," {he} thought. "I could hide it."|{he} put the pieces under the bed.|"I could say'
        ' that the [cat|wind] did it," {he} thought.]',
        "[But {he} could not sleep that night.|But {he} did not feel good.|But {his} stomach felt"
        " heavy like a stone.|But a lie would make it worse.]",
        P + '[In the end|At last|The next morning], {he} went to {H}. "[I have to tell you'
        ' something|I am sorry|I did something bad]," {he} said. "I broke your {vase}."',
        '{H} looked at {him} [for a long time|quietly]. Then {hhe} [smiled|said]: "[Thank you for'
        " telling me|I am glad that you told me the truth]. [A {vase} can be replaced|I am not angry|It is only"
        ' a {vase}|The truth is worth more than a {vase}]."',
        P + "[Together they repaired the {vase} with glue.|They picked up the pieces together.|On"
        " {day}, they went to {place} and bought a new {vase}.|{N} helped to clean the floor.]",
        "[{N} felt [light|much better|free] again.|That night, {N} slept very well.|{N} was {good}"
        " that {he} had told the truth.]",
        "!honest",
    ]


def storm(rng: random.Random, c: Context) -> Steps:
    c["wthr"] = pick(rng, ["rain", "snow", "a strong wind", "a storm", "thick fog"])
    c["wend"] = c["wthr"].split()[-1]
    c["job"] = rng.choice(w.JOBS)[0]
    return [
        pick(rng, DAYS)
        + "{N} and {F} [walked to {place}|went for a walk to {place}|wanted to go to"
        " {place}]. They [took a {snack} with them|wore warm coats|sang a song on the way].",
        "[At first the sky was blue.|When they started, the sun was shining.|It was a fine day.] But"
        " [then|soon|after an hour] [dark clouds came|the sky turned grey|it became dark].",
        '[{F} looked up.|{N} stopped.] "[I think it will get worse|We should find a dry place|Look'
        ' at those clouds|I do not like this weather]," {fhe} said.'.replace(
            "{fhe}", "{F}" if rng.random() < 0.5 else "{N}"
        ),
        "[Soon there was {wthr}, and they could not see the way.|Then came {wthr}. It was cold, and"
        " they were {afraid}.|{wthr} came over the hill, and they began to run.]",
        P + '"[Look, there is|I can see] [a small hut|a cave|an old barn|a big tree|a little house'
        ' with a light]!" [cried|shouted|called] {N}. They ran [there|to it] as fast as they could.',
        "[Inside it was warm and dry.|There they were safe.|They sat close together and waited.]"
        " [They ate the {snack} and told each other stories.|{N} told a story about a {fkind}, and"
        " they laughed.|An old {job} gave them hot tea.|They listened to the wind and were not"
        " afraid any more.]",
        P
        + "[After an hour|At last|In the evening], the {wend} stopped. [The sun came out, and there"
        " was a rainbow over {place_b}.|The sky was clear, and the stars were shining.|The air was"
        " fresh and clean.|A rainbow stood in the sky.]",
        '[They walked home happily.|When they came home, {H} was {good} to see them.|"What an'
        ' adventure!" said {N}.|They were tired but {good}.]',
        "?[They never forgot that day.|Next time, they looked at the sky before they left.|That"
        " night, they slept like stones.]",
    ]


SKILLS = [
    ("ride a bicycle", "fell off"),
    ("swim", "swallowed a lot of water"),
    ("play the violin", "made a terrible sound"),
    ("bake a cake", "burned the cake"),
    ("draw a horse", "drew something like a table"),
    ("whistle", "only made a quiet puff"),
    ("skate on the ice", "fell on the ice"),
    ("fly a kite", "lost it in a tree"),
    ("read", "could not understand the letters"),
    ("juggle three balls", "dropped all the balls"),
    ("sing", "forgot the words"),
    ("climb the old tree", "slid down again"),
    ("write a computer program", "got a long list of errors"),
    ("build a boat", "saw the boat sink"),
    ("dance", "stepped on everyone's feet"),
    ("cook soup", "used too much salt"),
    ("play chess", "lost every game"),
]


def skill(rng: random.Random, c: Context) -> Steps:
    c["skill"], c["fail"] = rng.choice(SKILLS)
    return [
        "[{N} wanted to learn to {skill}.|{N} had a dream: {he} wanted to {skill}.|More than"
        " anything, {N} wanted to {skill}.|All {his} friends could {skill}, but {N} could not.]",
        pick(rng, DAYS) + "{he} tried it for the first time. [But {he} {fail}.|It did not go well:"
        " {he} {fail}.]",
        '[{F} saw it and laughed.|Some others laughed.|{S} was {sad}.] "[I will never learn it|I'
        ' cannot do it|It is too hard for me|Why is it so hard]," said {N}.',
        P + '[{H} heard this.|{H} came and sat down next to {him}.|{H} was watching.] "[Try again'
        " tomorrow|Nobody can do it on the first day|Do you know how often I failed|It takes time]"
        '~" {hhe} said. "[Every day a little|Take small steps|Practise a little every day|Do not'
        ' give up]."',
        "So {N} practised [every day|every morning|every day after school|again and again]. [On {day}, {he}"
        " {fail} again.|Again and again {he} made mistakes.|Sometimes it was boring.] [But every"
        " time it was a little better.|But {he} did not stop.|But {he} learned something from every"
        " mistake.]",
        P
        + "[After three weeks|One day|At last|After a month], [it worked|{he} could do it|{he} could"
        ' {skill}]! [{F} clapped and cheered.|{F} was surprised. "How did you do that?" {fhe}'
        " asked.|Everyone clapped.]",
        '"[I practised every day|I did not give up|It just takes time]," said {N}[ proudly|]. [{he} was'
        " {good}.|{H} smiled.]",
        "!practice",
    ]


def lost_way(rng: random.Random, c: Context) -> Steps:
    c["guide"] = pick(rng, [a[0] for a in w.ANIMALS if a[0] not in (c["kind"], c["fkind"])])
    return [
        pick(rng, DAYS)
        + "{N} [went into the forest to look for berries|followed a butterfly|walked"
        " too far from home|wanted to see what was behind the hill].",
        "[{S} walked and walked.|{he} looked at the flowers and not at the path.|{he} did not see"
        " how late it was.] [Soon|After a while|When {he} turned around], {he} did not know where"
        " {he} was.",
        '["Oh no, I am lost!" said {N}.|{N} was {afraid}.|Every tree looked the same.] [It was'
        " getting dark|The sun went down|The wind was cold], and {he} [began to cry|sat down on a"
        " stone|called for help].",
        P + "[Then|Suddenly|After some time], an old {guide} [came along|heard {him}|came out from"
        ' behind a tree]. "[Why are you crying|What are you doing here|Are you lost], little'
        ' {kind}?" asked the {guide}.',
        '"[I cannot find the way home|I want to go home|I do not know the way]," said {N}.',
        '"[Do not be afraid|Do not worry]. [Follow the river|Look at the stars|Go along this path]'
        ' until you see {place}. From there it is not far," said the {guide}. "[Come, I will go'
        ' with you|I will show you the way|I know this forest well]."',
        P + "[They walked together through the night.|So they went together.|{N} followed the"
        " {guide}.] [Soon|At last|After an hour], {he} saw [the light in the window|{his} home|"
        "the smoke of {his} house].",
        "{H} [ran to {him} and hugged {him}|was waiting at the door|was so glad to see {him}]."
        ' ["Thank you!" {N} said to the {guide}.|{N} gave the {guide} a {snack} and said thank'
        " you.|They gave the {guide} a bowl of soup.]",
        "?[After that day|From then on], {N} [always stayed on the path|never went so far alone|"
        "visited the {guide} every {day}].",
        "!help",
    ]


def birthday(rng: random.Random, c: Context) -> Steps:
    return [
        "[It was {N}'s birthday.|Today was {N}'s birthday.|{N} had a birthday on {day}.] [{S} woke"
        " up early.|{S} was {good} in the morning.|{he} put on {his} best {colour} clothes.]",
        'But nobody said ["Happy birthday!"|anything about it]. [{F} had no time to play.|{F} only'
        " said hello and went away.|Even {H} seemed to have forgotten it.]",
        '{N} [was {sad}|went to {place} alone|felt lonely]. "[Nobody thinks of me|They have all'
        ' forgotten my birthday|Maybe they do not like me]," {he} thought.',
        P
        + "In the evening, {he} went home. [The house was dark.|There was no light in the window.|"
        'It was very quiet.] {he} opened the door. "Surprise!" [shouted everyone|cried {F} and'
        " {H}|called all {his} friends].",
        "There was a [big|wonderful] cake with [candles|strawberries|nuts and honey], and {F} gave"
        ' {him} a {colour} {thing}. "[I made it for you|I hope you like it|Happy birthday, {N}],"'
        " said {F}.",
        '"[I thought that you had forgotten me|Is this all for me|Thank you, everyone]~" said {N}.'
        ' "[We would never forget you|We wanted to surprise you|You are our friend]!" said {F}.',
        "?[They ate cake and played {game}.|They sang and danced all night.|They ate {dish} and {dish_b}.]",
        "[It was the best birthday of all.|{N} was {good} all evening.|{N} made a wish and smiled.]",
        "!friend",
    ]


def treasure(rng: random.Random, c: Context) -> Steps:
    c["inside"] = pick(
        rng,
        [
            "old coins",
            "a golden {thing}",
            "letters from long ago",
            "a {toy} and a {toy_b}",
            "seeds of many flowers",
            "a picture of the village",
            "a book full of stories",
        ],
    ).format_map(c)
    return [
        pick(rng, DAYS) + "{N} found [an old map|a piece of paper|a strange map] [in a book|in the"
        " attic|in a bottle|under the floor|behind a picture].",
        '"[Look at this|What is this|A treasure map]!" {he} said to {F}. There was a [red|black]'
        " cross [near|next to|behind] {place}.",
        '"[Let us go there|Shall we look for it|We must find it]!" said {F}. They took [a spade|a'
        " lamp and a rope|some food and a spade] and [went off|started at once|left].",
        P
        + "[First|At first] they had to [cross a river|climb a hill|walk through the forest|go over"
        " the bridge]. [It was hard, but they helped each other.|{F} was afraid, but {N} held"
        " {fhis} hand.|They got wet, but they laughed.|A {colour} bird flew in front of them.]",
        "Then they [came to|reached] {place}. [{N} counted ten steps|They looked at the map again|"
        "They looked at every stone], and they began to dig. [They dug for an hour.|The ground was"
        " hard.|Soon they hit something.]",
        P
        + "[At last|Suddenly], they found a [small|wooden|big|heavy] box. [{N} opened it slowly.|They"
        " opened it together.] Inside there [was|were] {inside}.".replace(
            "[was|were]", "were" if c["inside"].split()[0] in ("old", "letters", "seeds") else "was"
        ),
        '["It is wonderful!" said {F}.|They looked at each other and laughed.|It was not what they'
        " had expected, but they were {good}.] [They shared everything.|They gave it to the museum."
        "|They took it home and showed it to {H}.]",
        '"The best part was [the way|to look for it with you|our adventure]," said {N}.',
    ]


def rescue(rng: random.Random, c: Context) -> Steps:
    baby = pick(rng, ["kitten", "puppy", "little bird", "lamb", "duckling", "baby rabbit"])
    stuck = pick(
        rng,
        [
            "up in a tree",
            "in a deep hole",
            "behind a fence",
            "in the cold river",
            "on the roof",
            "under a fallen branch",
        ],
    )
    tool = pick(rng, ["a ladder", "a long rope", "a strong branch", "a basket", "a blanket"])
    c.update(baby=baby, stuck=stuck, tool=tool, bname=pet_name(rng))
    return [
        pick(rng, DAYS)
        + "{N} was [walking|playing|sitting] {at} when {he} heard a [small|sad|strange]"
        " [cry|voice|sound].",
        '[{S} looked around.|{he} followed the sound.|"What is that?" {he} asked.] A {baby} was'
        " [stuck |]{stuck}. It [was shaking|looked very small|cried for its mother].",
        '"[Do not be afraid|Wait, I will help you|Poor thing]!" said {N}. {he} tried to reach it,'
        " but it was too [far|difficult|dangerous].",
        P + 'So {he} ran to {F}. "[Come quickly|I need your help|Please help me]! There is a {baby}'
        ' {stuck}," {he} said.',
        "{F} [took|brought|found] {tool}, and they [ran back|hurried back|went back together]."
        " {F} held it, and {N} [moved very slowly|was very careful|reached out"
        " with both hands].",
        '["Just a little more," said {F}.|One step, two steps, three steps.|It took a long time.]'
        " [At last|Then] the {baby} was [safe|free]!",
        P + "[{N} gave it some milk and a warm place to sleep.|They took it home, and {H} gave it"
        " something to eat.|They brought it back to its mother.|They called it {bname}.]",
        "[The {baby} was {good} and fell asleep.|The {baby} looked at them with big eyes.|It never"
        ' forgot them.] "[We did it together|We are a good team|That was brave of you]," said {F}.',
        "!help",
    ]


def race(rng: random.Random, c: Context) -> Steps:
    c["goal"] = pick(rng, [p for p, _ in w.PLACES if p != c["place"]])
    return [
        "{Fthe} was [very fast|the fastest of all] and [liked to tell everyone|was very"
        ' proud of it]. "[Nobody can beat me|I am faster than all of you]!" {fhe} said.',
        pick(rng, DAYS) + '{N} said, "[I will race you|Let us run] from {place} to {goal}." {F}'
        ' laughed[| loudly]. "[You|You are so slow. You] [will never win|have no chance]!" {fhe}'
        " said.",
        "[Everyone came to watch.|All the neighbours came.|Their friends stood beside the road.]"
        ' "One, two, three, go!" [they shouted|called {H}].',
        P + '{F} [was soon far ahead|ran away like the wind|was out of sight]. ["I have a lot of'
        ' time," {fhe} thought, and {fhe} lay down under a {tree}.|{fhe} stopped to eat a {snack}.|'
        "{fhe} stopped to look at {fhis} face in the water.|{fhe} turned around to laugh and fell"
        " over a root.]",
        "[{N} went on and on, step by step.|{N} was slow, but {he} did not stop.|{N} did not look"
        " left or right.] [Soon {he} passed {F}.|{he} saw {F}, but {he} went on.]",
        P + "[When {F} looked up, it was too late.|{F} jumped up and ran, but it was too late.] {N}"
        " [was already at {goal}|had won the race]. Everyone [cheered|clapped].",
        '"[You were right to try|I should not have laughed at you|Well done, {N}|I am sorry]," said'
        ' {F}. {N} [smiled|shook {fhis} hand]. "[Shall we run together next time|You are fast, but I'
        ' am patient|Let us be friends]~" {he} said.',
        "!practice",
    ]


def quarrel(rng: random.Random, c: Context) -> Steps:
    return [
        "{N} and {Fthe} were [good|best] friends. [They did everything together.|They met"
        " every day {at}.]",
        pick(rng, DAYS)
        + "they [both wanted to play with the {toy}|could not agree what to play|saw a"
        ' {colour} {thing} at the same time]. "[It is mine|I was first|Give it to me]!" said {N}.'
        ' "No, [it is mine|I was first]!" said {F}.',
        "[They pulled and pulled until it broke.|{F} became angry and went home.|They shouted at each"
        " other.|{N} ran away without a word.] [Now nobody was happy.|It was a bad day.|After that"
        " they did not talk.]",
        P
        + '[At home|That evening], {N} told {H} about it. "[A {toy} is only a thing, but a friend is a'
        " friend|What is more important, to be right or to have a friend|Somebody has to say sorry"
        ' first]~" said {H}.',
        "{N} [thought about it all night|thought for a long time]. [{he} missed {F}.|Without {F},"
        " nothing was fun.]",
        P + 'The next [morning|day], {he} went to {F}. "I am sorry," {he} said. "[I was not fair|I'
        ' should have shared it|You are more important to me]." "I am sorry too," said {F}[|'
        " with a smile].",
        "[Then they played {game} together.|They shared a {snack} and laughed.|They repaired"
        " everything and played until evening.|From now on they took turns.]",
        "!friend",
    ]


ALL = [
    lost,
    new_friend,
    sharing,
    fear,
    plant,
    broken,
    storm,
    skill,
    lost_way,
    birthday,
    treasure,
    rescue,
    race,
    quarrel,
]

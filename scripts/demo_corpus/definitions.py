"""Definitions, capitals and instructions, written for this corpus in short plain sentences."""
# Sentences and words are data here; wrapped or quoted one by one they are harder to read.
# ruff: noqa: E501

from __future__ import annotations

_CAPITALS = """
China;Beijing;Asia|France;Paris;Europe|Germany;Berlin;Europe|Italy;Rome;Europe|Spain;Madrid;Europe
Japan;Tokyo;Asia|England;London;Europe|Portugal;Lisbon;Europe|Austria;Vienna;Europe
Greece;Athens;Europe|Egypt;Cairo;Africa|Kenya;Nairobi;Africa|India;New Delhi;Asia
South Korea;Seoul;Asia|Thailand;Bangkok;Asia|Vietnam;Hanoi;Asia|Canada;Ottawa;North America
Mexico;Mexico City;North America|Peru;Lima;South America|Chile;Santiago;South America
Argentina;Buenos Aires;South America|Poland;Warsaw;Europe|Norway;Oslo;Europe
Sweden;Stockholm;Europe|Finland;Helsinki;Europe|Denmark;Copenhagen;Europe|Ireland;Dublin;Europe
Hungary;Budapest;Europe|Australia;Canberra;Oceania|Russia;Moscow;Europe and Asia
the United States;Washington;North America|Turkey;Ankara;Asia and Europe|Brazil;Brasília;South America
Switzerland;Bern;Europe|Morocco;Rabat;Africa|Nepal;Kathmandu;Asia
"""
CAPITALS: list[tuple[str, str, str]] = []
for _entry in _CAPITALS.replace("\n", "|").split("|"):
    if _entry:
        _country, _city, _region = _entry.split(";")
        CAPITALS.append((_country, _city, _region))

# The first sentence is the definition; the others add to it.
DEFINITIONS: dict[str, list[str]] = {
    "Paddock": [
        "Paddock is a Python project that deploys and runs Llama 2 models.",
        "Paddock can load a model, serve it over the network and make it smaller.",
        "With Paddock you can run a language model on your own computer, even without a network.",
        "The name comes from the field in which llamas live.",
    ],
    "a paddock": [
        "A paddock is a small field with a fence where horses or llamas live.",
        "In a paddock, animals can run and eat grass.",
    ],
    "a llama": [
        "A llama is an animal with long ears and soft wool.",
        "Llamas live in the mountains of South America and carry things for people.",
        "A llama eats grass and hay.",
    ],
    "LLaMA": [
        "LLaMA is a family of language models made by Meta.",
        "LLaMA is a large language model that reads a text and predicts the next word.",
        "The second version is called Llama 2.",
        "It can write texts, answer questions and help with programs.",
    ],
    "Llama 2": [
        "Llama 2 is a family of language models that was released by Meta in 2023.",
        "It comes in several sizes, and there are versions for chat.",
        "Its weights can be downloaded, so many people run it on their own machines.",
    ],
    "a language model": [
        "A language model is a program that predicts the next piece of a text.",
        "It has learned from many examples how words follow each other.",
        "A small language model knows little, and a large one knows more.",
    ],
    "Huawei": [
        "Huawei is a company that makes phones, computers and network equipment.",
        "Huawei comes from Shenzhen in China.",
        "It also makes the Ascend chips, which are used to run neural networks.",
    ],
    "Ascend": [
        "Ascend is a family of chips by Huawei for neural networks.",
        "A computer with an Ascend chip can train and run language models.",
        "Such a chip is also called an NPU.",
    ],
    "an NPU": [
        "An NPU is a chip that is made for neural networks.",
        "The letters stand for neural processing unit.",
    ],
    "NVIDIA": [
        "NVIDIA is a company that makes graphics cards and chips for computing.",
        "Many language models are trained on NVIDIA cards.",
        "NVIDIA also makes the CUDA software.",
    ],
    "Meta": [
        "Meta is a company that made the Llama models.",
        "Meta also runs large social networks.",
    ],
    "a GPU": [
        "A GPU is a chip that does many small calculations at the same time.",
        "It was made for pictures, but it is also good at running neural networks.",
        "The letters stand for graphics processing unit.",
    ],
    "a CPU": [
        "A CPU is the main chip of a computer.",
        "It runs the programs, one step after the other.",
        "The letters stand for central processing unit.",
    ],
    "a tokenizer": [
        "A tokenizer cuts a text into small pieces that are called tokens.",
        "Every token has a number, and the model works with these numbers.",
        "After that, it can turn the numbers back into text.",
    ],
    "a token": [
        "A token is a small piece of text, for example a word or a part of a word.",
        "A language model reads and writes tokens.",
    ],
    "a prompt": [
        "A prompt is the text that you give to a language model.",
        "The model reads the prompt and continues it.",
    ],
    "a server": [
        "A server is a computer or a program that answers requests from others.",
        "It often stands in a cold room and runs day and night.",
    ],
    "a computer": [
        "A computer is a machine that follows instructions.",
        "It can calculate, store texts and show pictures.",
    ],
    "a program": [
        "A program is a list of instructions for a computer.",
        "People who write programs are called programmers.",
    ],
    "Python": [
        "Python is a programming language that is easy to read.",
        "Python is also the name of a large snake.",
    ],
    "a network": [
        "A network connects computers, so that they can talk to each other.",
        "The largest network is the internet.",
    ],
    "the internet": ["The internet is a network that connects computers all over the world."],
    "memory": [
        "Memory is the part of a computer that keeps data while programs run.",
        "A large model needs a lot of memory.",
    ],
    "a disk": ["A disk keeps files, even when the computer is off."],
    "a file": ["A file is a piece of data with a name that is kept on a disk."],
    "a keyboard": ["A keyboard has keys with letters and numbers.", "You use it to write."],
    "a screen": ["A screen shows texts and pictures."],
    "a bug": ["A bug is a mistake in a program.", "A bug is also a small insect."],
    "a robot": [
        "A robot is a machine that can move and do work.",
        "Some robots build cars, and some clean floors.",
    ],
    "a neural network": [
        "A neural network is a program that learns from examples.",
        "It has many layers, and every layer has many numbers.",
    ],
    "quantization": [
        "Quantization makes a model smaller by storing its numbers with fewer bits.",
        "A quantized model needs less memory, but it may be a little less exact.",
    ],
    "parameters": [
        "Parameters are the numbers that a model has learned.",
        "A small model has a few million parameters, a large one has billions.",
    ],
    "weights": ["Weights are the numbers inside a neural network.", "They are stored in a file."],
    "bf16": [
        "Bf16 is a number format with sixteen bits.",
        "Many models store their weights in bf16, because it needs half the space.",
    ],
    "attention": [
        "Attention is the part of a model that decides which words are important for each other."
    ],
    "a cache": ["A cache keeps results, so that they do not have to be calculated again."],
    "open source": ["Open source means that everybody may read and change a program."],
    "a river": ["A river is water that flows through the land to the sea.", "Fish live in rivers."],
    "a mountain": ["A mountain is very high land.", "On the top of high mountains there is snow."],
    "a bridge": ["A bridge is a road over a river or a valley."],
    "the moon": ["The moon is a ball of rock that moves around the Earth.", "We see it at night."],
    "the sun": ["The sun is a star.", "It gives us light and warmth."],
    "the Earth": ["The Earth is the planet on which we live."],
    "stars": ["Stars are suns that are very far away.", "We can see them at night."],
    "rain": ["Rain is water that falls from the clouds.", "Plants need rain to grow."],
    "snow": ["Snow is frozen water that falls from the clouds in winter."],
    "ice": ["Ice is frozen water.", "It is cold and hard."],
    "wind": ["Wind is air that moves."],
    "a rainbow": [
        "A rainbow is an arc of colours in the sky.",
        "You see it when the sun shines after rain.",
    ],
    "a cloud": ["A cloud is made of very small drops of water."],
    "an island": ["An island is land with water all around it."],
    "a forest": ["A forest is a place with many trees.", "Many animals live there."],
    "a desert": ["A desert is a dry place where it hardly ever rains."],
    "a city": [
        "A city is a place where very many people live.",
        "It has streets, shops and schools.",
    ],
    "a village": ["A village is a small place in the country with only a few houses."],
    "a school": ["A school is a place where children learn."],
    "a library": [
        "A library is a place with many books.",
        "You can read the books there or take them home.",
    ],
    "a museum": ["A museum is a house where old or beautiful things are shown."],
    "a hospital": ["A hospital is a place where doctors and nurses help sick people."],
    "a bakery": ["A bakery is a shop where bread and cakes are made."],
    "a friend": [
        "A friend is a person whom you like and trust.",
        "A good friend helps you when you are sad.",
    ],
    "love": ["Love is a strong feeling for a person or a thing that is dear to you."],
    "music": ["Music is sound that is made with voices and instruments."],
    "a book": ["A book is many pages of paper with a text.", "You can learn from books."],
    "a fox": ["A fox is a clever animal with red fur.", "It lives in a den in the forest."],
    "a cat": ["A cat is a small animal with soft fur.", "Cats like to sleep, and they catch mice."],
    "a dog": [
        "A dog is an animal that lives with people.",
        "Dogs can bark, run and guard the house.",
    ],
    "a bird": ["A bird is an animal with feathers and two wings.", "Most birds can fly."],
    "an elephant": ["An elephant is a very large grey animal with a long nose."],
    "a bee": ["A bee is an insect that makes honey.", "Bees fly from flower to flower."],
    "a penguin": ["A penguin is a bird that can swim but cannot fly."],
    "a tree": ["A tree is a tall plant with a trunk and leaves."],
    "honey": ["Honey is a sweet food that is made by bees."],
    "bread": ["Bread is a food that is made of flour and water and baked in an oven."],
    "tea": [
        "Tea is a hot drink that is made with leaves and water.",
        "It was first grown in China.",
    ],
    "time": ["Time is what a clock shows.", "It goes on, and nobody can stop it."],
    "winter": ["Winter is the coldest season of the year."],
    "summer": ["Summer is the warmest season of the year."],
}

HOWTO: dict[str, list[str]] = {
    "make tea": [
        "boil some water",
        "put the tea leaves in a cup",
        "pour the hot water on the leaves",
        "wait three minutes",
    ],
    "make a sandwich": [
        "take two slices of bread",
        "put butter on them",
        "add cheese and tomato",
        "put the slices together",
    ],
    "plant a flower": [
        "make a small hole in the ground",
        "put the seed into it",
        "cover it with earth",
        "give it some water every day",
    ],
    "wash my hands": [
        "turn on the water",
        "use some soap",
        "rub your hands for a while",
        "dry them with a towel",
    ],
    "boil an egg": [
        "put water in a pot",
        "wait until it boils",
        "put the egg into the water",
        "take it out after five minutes",
    ],
    "make soup": [
        "cut the vegetables",
        "put them in a pot with water",
        "cook them for half an hour",
        "add some salt",
    ],
    "build a snowman": [
        "make a big ball of snow",
        "put a smaller ball on it",
        "put an even smaller one on top",
        "give it a carrot as a nose",
    ],
    "find a friend": [
        "be kind",
        "say hello and smile",
        "listen to the other person",
        "share something that you like",
    ],
    "learn a language": [
        "learn a few words every day",
        "listen to people who speak it",
        "read easy books",
        "do not be afraid of mistakes",
    ],
    "bake a cake": [
        "mix flour, eggs, sugar and butter",
        "put it in a form",
        "bake it in the oven for an hour",
        "let it cool",
    ],
    "run a model": ["choose a model", "load its weights", "give it a prompt", "read the answer"],
    "start a server with Paddock": [
        "open a terminal",
        "choose a model",
        "start the server",
        "send a question to it",
    ],
    "fall asleep": [
        "put away your phone",
        "turn off the light",
        "breathe slowly",
        "think of something nice",
    ],
    "clean a room": [
        "open the window",
        "put all things in their place",
        "clean the floor",
        "take out the rubbish",
    ],
    "write a letter": [
        "take a sheet of paper",
        "write the name of your friend",
        "tell what happened",
        "end with a greeting",
    ],
}

"""Word lists, because every story, question and dialogue draws its names and things from them."""
# Sentences and words are data here; wrapped or quoted one by one they are harder to read.
# ruff: noqa: SIM905

from __future__ import annotations

# Few enough that each is learned as one token; the rest of the names are invented (cast.py).
GIRLS = "Anna Lily Mia Emma Sara Lucy Nora Ruby Maya Clara Alice Mei Leila".split()
BOYS = "Tom Ben Sam Max Leo Jack Tim Oscar Adam Peter Wei Omar Hugo".split()
# A name tells whether its animal is a she or a he, as the name of a child does.
SHE_PETS = "Luna Coco Poppy Daisy Mimi Hazel Kiki Rosa".split()
HE_PETS = "Pip Momo Rex Bobo Milo Rusty Toto Rolo".split()
PETS = SHE_PETS + HE_PETS

# kind, home, food, sound it makes, thing it is good at
ANIMALS = [
    ("fox", "a den under an old oak", "berries", "running"),
    ("rabbit", "a hole under the hill", "carrots", "jumping"),
    ("mouse", "a small house in the wall", "cheese", "hiding"),
    ("bear", "a cave near the waterfall", "honey", "climbing"),
    ("cat", "a little house by the sea", "fish", "climbing"),
    ("dog", "a red house near the farm", "bones", "running"),
    ("duck", "a nest beside the pond", "bread", "swimming"),
    ("frog", "a green pond", "flies", "jumping"),
    ("owl", "a hole in a tall tree", "seeds", "thinking"),
    ("squirrel", "a hollow tree", "nuts", "climbing"),
    ("turtle", "a quiet bay", "leaves", "swimming"),
    ("goat", "a farm on the mountain", "grass", "climbing"),
    ("pig", "a farm at the end of the road", "corn", "eating"),
    ("penguin", "an island of ice", "fish", "swimming"),
    ("monkey", "a big tree in the forest", "bananas", "climbing"),
    ("lion", "a dry land with tall grass", "meat", "running"),
    ("llama", "a paddock on the hill", "grass", "carrying things"),
    ("horse", "a stable beside the river", "hay", "running"),
    ("dragon", "a warm cave", "soup", "flying"),
    ("robot", "a small workshop", "oil", "counting"),
]

SMALL = "little small young clever quiet brave kind shy curious cheerful".split()
COLOURS = "red blue green yellow white black brown orange purple pink grey golden".split()
GOOD = ["happy", "glad", "proud", "very happy", "so happy", "full of joy", "cheerful", "pleased"]
SAD = ["sad", "very sad", "unhappy", "worried", "upset", "so sad", "close to tears"]
AFRAID = ["afraid", "scared", "frightened", "very afraid", "a little scared", "nervous"]
WEATHER = "sunny cold warm rainy windy cloudy hot foggy snowy bright grey quiet".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
DAYPARTS = "morning afternoon evening day".split()

# place, preposition
PLACES = [
    ("the park", "in"),
    ("the forest", "in"),
    ("the garden", "in"),
    ("the river", "at"),
    ("the lake", "at"),
    ("the beach", "on"),
    ("the market", "at"),
    ("the village", "in"),
    ("the hill", "on"),
    ("the old mill", "at"),
    ("the farm", "on"),
    ("the school", "at"),
    ("the library", "in"),
    ("the meadow", "in"),
    ("the pond", "at"),
    ("the bakery", "at"),
    ("the castle", "at"),
    ("the bridge", "on"),
    ("the lighthouse", "at"),
]
TOWNS = [
    "a small village",
    "a big city",
    "a quiet town",
    "a village near the sea",
    "a small flat above a bakery",
    "a white house by the river",
    "a village in the mountains",
    "an old house with a blue door",
    "a cottage near the lake",
]
TOYS = [
    "ball",
    "kite",
    "doll",
    "toy train",
    "drum",
    "teddy bear",
    "puzzle",
    "wooden horse",
    "paper plane",
    "picture book",
    "whistle",
    "bicycle",
]
THINGS = [
    "key",
    "hat",
    "scarf",
    "ring",
    "book",
    "coin",
    "map",
    "umbrella",
    "letter",
    "basket",
    "lamp",
    "bag",
    "bell",
    "watch",
    "feather",
    "shell",
    "blanket",
    "cup",
    "flute",
    "mirror",
]
FOODS = [
    "bread",
    "soup",
    "cake",
    "rice",
    "cheese",
    "porridge",
    "apple pie",
    "salad",
    "pizza",
    "pancakes",
    "dumplings",
]
SNACKS = [
    "apple",
    "sandwich",
    "biscuit",
    "pear",
    "banana",
    "orange",
    "bun",
    "piece of cake",
    "plum",
    "bag of nuts",
    "pot of honey",
    "peach",
    "carrot",
    "muffin",
]
FRUITS = [
    "apple",
    "pear",
    "banana",
    "orange",
    "plum",
    "peach",
    "cherry",
    "lemon",
    "grape",
    "mango",
    "melon",
    "strawberry",
]
VEGETABLES = [
    "carrot",
    "potato",
    "onion",
    "tomato",
    "cabbage",
    "pea",
    "bean",
    "pumpkin",
    "cucumber",
    "spinach",
]
FLOWERS = ["rose", "tulip", "daisy", "sunflower", "lily", "poppy", "violet", "snowdrop"]
TREES = ["oak", "pine", "apple tree", "willow", "birch", "maple", "cherry tree"]
DRINKS = ["water", "milk", "tea", "coffee", "apple juice", "lemonade", "hot chocolate"]
CLOTHES = ["hat", "coat", "scarf", "shirt", "dress", "shoe", "sock", "glove", "jacket", "skirt"]
TOOLS = ["hammer", "saw", "spade", "brush", "needle", "ladder", "rope", "bucket", "knife"]
VEHICLES = ["car", "bus", "train", "bicycle", "boat", "plane", "tram", "truck", "ship"]
FURNITURE = ["table", "chair", "bed", "shelf", "lamp", "desk", "sofa", "cupboard"]
INSTRUMENTS = ["piano", "violin", "drum", "flute", "guitar", "trumpet"]
SUBJECTS = ["reading", "history", "music", "painting", "maths", "drawing", "sport", "science"]
GAMES = ["hide and seek", "football", "chess", "cards", "tag", "a jumping game", "a word game"]

# person with a job, place of work, what they do (base), what they made or did (past), tool
JOBS = [
    ("baker", "the bakery", "bakes bread and cakes", "baked bread", "oven", "flour"),
    (
        "farmer",
        "the farm",
        "grows food and keeps animals",
        "worked in the field",
        "tractor",
        "seeds",
    ),
    ("teacher", "the school", "teaches children", "taught the children", "blackboard", "chalk"),
    ("doctor", "the hospital", "helps sick people", "looked after sick people", "bag", "medicine"),
    ("gardener", "the garden", "takes care of plants", "watered the flowers", "spade", "seeds"),
    (
        "tailor",
        "a small shop",
        "makes and mends clothes",
        "made coats and shirts",
        "needle",
        "thread",
    ),
    ("fisherman", "the sea", "catches fish", "caught fish", "boat", "rope"),
    (
        "carpenter",
        "a workshop",
        "makes things from wood",
        "made chairs and tables",
        "hammer",
        "wood",
    ),
    ("painter", "a bright room", "paints pictures", "painted pictures", "brush", "paint"),
    ("cook", "a kitchen", "prepares meals", "cooked soup", "big pot", "salt"),
    (
        "postman",
        "the post office",
        "brings letters to people",
        "carried letters",
        "bicycle",
        "stamps",
    ),
    (
        "librarian",
        "the library",
        "helps people find books",
        "put the books on the shelves",
        "ladder",
        "paper",
    ),
    ("shepherd", "the hill", "looks after sheep", "watched the sheep", "stick", "hay"),
    ("blacksmith", "the forge", "makes things from iron", "made horseshoes", "hammer", "iron"),
    (
        "clockmaker",
        "a shop full of clocks",
        "repairs clocks",
        "repaired clocks",
        "small screwdriver",
        "oil",
    ),
    (
        "potter",
        "a warm workshop",
        "makes cups and bowls from clay",
        "made cups and bowls",
        "wheel",
        "clay",
    ),
    (
        "nurse",
        "the hospital",
        "takes care of patients",
        "cared for the patients",
        "warm blanket",
        "bandages",
    ),
    ("engineer", "an office", "designs machines", "designed a machine", "computer", "paper"),
    ("musician", "the concert hall", "plays music", "played the violin", "violin", "strings"),
    (
        "bus driver",
        "the big bus",
        "drives people through the town",
        "drove the bus",
        "bus",
        "petrol",
    ),
    (
        "programmer",
        "an office",
        "writes programs for computers",
        "wrote programs",
        "keyboard",
        "coffee",
    ),
    ("firefighter", "the fire station", "puts out fires", "put out a fire", "long ladder", "water"),
    ("shopkeeper", "a shop", "sells many things", "sold apples and tea", "scale", "bags"),
]

MORALS = {
    "honest": [
        "It is good to tell the truth.",
        "Telling the truth made everything easier.",
        "The truth may be hard to say, but it makes the heart light.",
    ],
    "share": [
        "Food tastes better when you share it.",
        "Sharing makes everyone happy.",
        "Two friends with half a meal are happier than one with a whole meal.",
    ],
    "brave": [
        "Being brave does not mean that you are never afraid.",
        "Sometimes a small step is the bravest one.",
        "A fear gets smaller when you look at it.",
    ],
    "patient": [
        "Good things take time.",
        "Those who wait with patience get the best fruit.",
        "You cannot hurry a flower.",
    ],
    "practice": [
        "If you practise every day, you get better.",
        "Nobody can do everything at once.",
        "Every master was once a beginner.",
    ],
    "friend": [
        "A good friend is the best gift.",
        "It is easy to find a friend if you are kind.",
        "A kind word can begin a long friendship.",
    ],
    "help": [
        "It feels good to help others.",
        "A small help can be a big gift.",
        "When we work together, hard things become easy.",
    ],
    "careful": [
        "It is wise to look after your things.",
        "It is better to look twice.",
        "A little care saves a lot of trouble.",
    ],
}

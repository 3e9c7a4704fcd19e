"""List the words that pictures made to be read may show: closed lists, in lower case."""

from __future__ import annotations

# What receipts and price lists sell, and what charts count: each can follow "the" and stand alone.
GOODS = (
    "tea", "coffee", "cocoa", "milk", "water", "juice", "soda", "bread", "toast", "bun", "roll", "cake",
    "pie", "waffle", "cookie", "pizza", "pasta", "rice", "soup", "salad", "burger", "fish", "ham", "egg",
    "cheese", "butter", "jam", "honey", "sugar", "salt", "pepper", "oil", "corn", "leek", "onion", "garlic",
    "carrot", "potato", "tomato", "apple", "pear", "plum", "fig", "lemon", "melon", "mango", "peach",
    "cherry", "mint", "tofu",
)  # fmt: skip
SHOP_TITLES = ("menu", "cafe", "prices", "bakery", "market", "shop", "snacks", "bistro")
RECEIPT_TITLES = ("receipt", "bill", "kiosk", "store")
CHART_TITLES = ("sales", "votes", "visits", "points", "orders", "stock")
DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
SIGN_WORDS = (
    "stop", "slow", "exit", "bus", "taxi", "park", "zoo", "school", "hotel", "bank", "beach", "museum",
    "bridge", "ferry", "harbor", "castle", "lake", "north", "south", "east", "west", "police", "bakery",
    "market", "tram", "ice", "works", "detour", "danger", "garage",
)  # fmt: skip
SPEEDS = ("20", "30", "40", "50", "60", "70", "80", "90", "100", "120", "130")
PLATE_LETTERS = (
    "ab", "ce", "dk", "er", "fm", "gh", "hs", "jk", "kl", "lx", "mz", "nb", "op", "ps", "rt", "sw", "tv",
    "uz", "vk", "wx", "xa", "yz", "zh",
)  # fmt: skip
CITIES = (
    "london", "paris", "tokyo", "rome", "delhi", "cairo", "lima", "oslo", "quito", "berlin", "madrid",
    "athens", "dublin", "bogota", "prague", "vienna",
)  # fmt: skip
ROOMS = (
    "kitchen", "hall", "bath", "study", "office", "attic", "garage", "cellar", "lobby", "garden", "library",
    "studio", "pantry", "bedroom", "den", "bar", "gym", "porch", "cafe",
)  # fmt: skip
BOARD_WORDS = (
    "tea", "cat", "dog", "bus", "key", "hat", "sun", "map", "cup", "box", "bed", "pen", "egg", "bee", "car",
    "fox", "ant", "owl", "ship", "tree", "door", "lamp", "book", "bell", "frog", "boat",
)  # fmt: skip
COLUMNS = ("a", "b", "c", "d", "e")
ROWS = ("1", "2", "3", "4", "5")
HOURS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip


def name_time(hour: int, half: bool) -> str:
    """Return a time in words: "three o'clock", "half past three".

    Args:
        hour: 1 to 12.
        half: whether the minute hand points down.
    """
    word = HOURS[hour - 1]
    if half:
        return f"half past {word}"
    return f"{word} o'clock"


TIMES = tuple(name_time(hour, half) for half in (False, True) for hour in range(1, 13))

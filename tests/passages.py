"""Text of our own to read."""

PASSAGE = (
    "The reading room opens at nine on weekdays. Maps may be borrowed for three weeks, and atlases for one. "
    "The librarian, Odalys Ferrand, keeps the key of the map cabinet. A lost map costs the borrower 40 crowns."
)
FILLER = "The shelves along the wall hold bound volumes of the town's newspaper, sorted by year. "

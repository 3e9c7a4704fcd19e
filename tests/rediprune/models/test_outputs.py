"""What an adapter hands on: which placeholders are left, and where the tokens behind a prompt stand."""

import pytest
import torch

from rediprune.models import EncodedItem, Prompt
from rediprune.tokens import Geometry, VisionTokens

# Two rows of three tokens with a newline behind each, the last token taken off again, then a row of none.
SLOTS = torch.tensor([0, 1, 2, -1, 3, 4, -1, -1])


def seen(slots=SLOTS, n=6) -> EncodedItem:
    place = Geometry(2, 3, (0, 0, 1, 1), (1, 1))
    features = torch.arange(n).float()[None, :, None]
    return EncodedItem(VisionTokens(features, (place,)), slots)


@pytest.mark.parametrize(
    ("kept", "left"),
    [
        ([0, 1, 2, 3, 4], [1, 1, 1, 1, 1, 1, 1, 1]),
        ([1], [0, 1, 0, 1, 0, 0, 0, 1]),
        ([4], [0, 0, 0, 0, 0, 1, 1, 1]),
        ([2, 3], [0, 0, 1, 1, 1, 0, 1, 1]),
        ([], [0, 0, 0, 0, 0, 0, 0, 1]),
    ],
)
def test_a_separator_stays_where_a_token_of_its_line_does_or_its_line_never_had_one(kept, left):
    assert seen().surviving(torch.tensor(kept, dtype=torch.long)).tolist() == [bool(x) for x in left]


def test_without_separators_exactly_the_kept_tokens_stay():
    assert seen(torch.arange(6)).surviving(torch.tensor([1, 5])).tolist() == [
        False,
        True,
        False,
        False,
        False,
        True,
    ]


def test_tokens_come_in_the_order_of_their_placeholders():
    one = seen(torch.tensor([4, 5, -1, 0, 1]))
    assert one.kept_features(torch.tensor([0, 1, 5])).tolist() == [[5], [0], [1]]


@pytest.mark.parametrize("axes", [None, 3])
def test_what_follows_a_prompt_stands_behind_its_last_token(axes):
    at = torch.tensor([[0, 4, 9], [0, 0, 2]])
    at = at if axes is None else at.expand(axes, -1, -1)
    prompt = Prompt(torch.zeros(2, 3, 4), torch.tensor([[1, 1, 1], [0, 1, 1]]), torch.ones(2, 5).bool(), at)
    more = prompt.arguments(2)
    assert more["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [0, 1, 1, 1, 1]]
    expected = torch.tensor([[0, 4, 9, 10, 11], [0, 0, 2, 3, 4]])
    assert torch.equal(more["position_ids"], expected if axes is None else expected.expand(axes, -1, -1))
    assert torch.equal(prompt.arguments()["position_ids"], at)

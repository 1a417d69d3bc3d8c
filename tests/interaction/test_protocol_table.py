"""Each statement of cells.py against a running gateway, by both ways in."""

import pytest
from tests.fakes.gateway import Gateway
from tests.interaction import rows_decisions, rows_legacy, rows_modern, rows_table
from tests.interaction.cells import CELLS, LATER
from tests.interaction.rows import ROWS

WRITTEN_DOWN_BY = (rows_table, rows_modern, rows_legacy, rows_decisions)

pytestmark = pytest.mark.anyio


def _wanting(fixture: str) -> list[str]:
    return [cell for cell, (wants, _) in ROWS.items() if wants == fixture]


def test_every_cell_of_the_table_has_a_row() -> None:
    assert set(CELLS) == set(ROWS)
    assert not set(LATER) & set(CELLS)


@pytest.mark.parametrize("cell", _wanting("gateway"))
async def test_a_client_sees_what_the_cell_says(cell: str, gateway: Gateway) -> None:
    await ROWS[cell][1](gateway)


@pytest.mark.parametrize("cell", _wanting("changing"))
async def test_a_client_sees_what_the_cell_says_when_documents_change(cell: str, changing: Gateway) -> None:
    await ROWS[cell][1](changing)


@pytest.mark.parametrize("cell", _wanting("pair"))
async def test_two_workers_do_what_the_cell_says(cell: str, pair: tuple[Gateway, Gateway]) -> None:
    await ROWS[cell][1](pair)

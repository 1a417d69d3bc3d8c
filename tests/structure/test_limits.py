"""The design's table of limits and its rules of security, as data: each part of each row has a test that holds it.

A part that no test is named for fails, and so does a name that leads nowhere. What is not built yet says why.
"""

import ast
import functools
from pathlib import Path

import pytest

from portico.apps.worker import KEEP_ALIVE
from portico.config import build
from portico.gateway.runtime import reload
from portico.gateway.session.session import EventLog
from portico.settings import Settings
from portico.template import fuel
from portico.wire import jsonrpc

TESTS = Path(__file__).parents[1]
DEFAULTS = Settings()
MIB = 1024 * 1024

CONTROL_PLANE = "not built yet: part of the control plane"
STDIO = "not built yet: upstreams that are processes"

Held = str | tuple[str, ...]
"""A reason that begins with `not built yet`, or the names of tests."""

# limit → part → (what the code has, what the design says), who holds it
ROWS: dict[str, dict[str, tuple[object, object, Held]]] = {
    "first byte / headers / body": {
        "first byte": (DEFAULTS.limit_first_byte, 5, ("test_a_connection_on_which_nothing_comes_is_closed",)),
        "headers": (DEFAULTS.limit_head, 10, ("test_a_head_that_comes_too_slowly_is_refused",)),
        "body": (DEFAULTS.limit_body_time, 30, ("test_a_body_that_comes_too_slowly_is_refused",)),
        "idle": (DEFAULTS.limit_body_pause, 10, ("test_a_body_that_stops_is_refused",)),
    },
    "URL, headers": {
        "URL": (DEFAULTS.limit_url, 8192, ("test_a_request_that_is_too_large_is_refused",)),
        "headers": (DEFAULTS.limit_headers, 100, ("test_a_request_that_is_too_large_is_refused",)),
        "bytes of headers": (
            DEFAULTS.limit_header_bytes,
            32 * 1024,
            ("test_a_request_that_is_too_large_is_refused", "test_a_request_without_end_is_cut_off"),
        ),
        "one Host": (
            1,
            1,
            (
                "test_a_request_without_a_host_is_refused",
                "test_an_ambiguous_request_is_refused_and_nothing_behind_it_is_answered",
            ),
        ),
        "never CL and TE": (
            1,
            1,
            (
                "test_ambiguous_framing_is_refused_and_the_connection_closed",
                "test_an_ambiguous_request_is_refused_and_nothing_behind_it_is_answered",
            ),
        ),
    },
    "body": {
        "MCP": (
            DEFAULTS.limit_body,
            4 * MIB,
            (
                "test_a_request_that_is_too_large_is_refused",
                "test_a_client_that_asks_first_is_told_before_it_sends_too_much",
            ),
        ),
        "management": (0, 0, CONTROL_PLANE),
        "import": (0, 0, CONTROL_PLANE),
        "login": (0, 0, CONTROL_PLANE),
    },
    "JSON": {
        "depth": (
            jsonrpc.DEPTH,
            64,
            ("test_nesting_is_bounded_exactly", "test_nesting_without_end_is_refused_at_once"),
        ),
        "duplicate keys": (1, 1, ("test_a_member_that_is_there_twice_is_refused_however_it_is_spelled",)),
        "id": (jsonrpc.ID_BYTES, 256, ("test_ids_are_bounded",)),
        "batch": (jsonrpc.BATCH, 20, ("test_any_bytes_are_a_bounded_batch_or_an_error",)),
    },
    "in flight": {
        "in all": (
            DEFAULTS.limit_in_flight,
            2000,
            (
                "test_calls_under_way_are_bounded_in_all",
                "test_a_place_is_free_again_however_its_call_ends",
                "test_what_has_left_leaves_nothing_behind",
            ),
        ),
        "per tenant": (DEFAULTS.limit_in_flight_tenant, 1000, ("test_one_tenant_cannot_take_all_places",)),
        "per principal": (
            DEFAULTS.limit_in_flight_caller,
            512,
            ("test_one_caller_cannot_take_all_places", "test_a_principal_is_one_caller_wherever_it_comes_from"),
        ),
        "per upstream": (
            DEFAULTS.limit_upstream_in_flight,
            512,
            (
                "test_one_caller_cannot_take_all_connections_to_a_service",
                "test_the_number_of_requests_in_flight_is_bounded_for_each_origin",
            ),
        ),
        "queue": (
            DEFAULTS.limit_upstream_queue,
            2,
            (
                "test_who_waits_too_long_for_a_connection_is_rejected",
                "test_one_caller_cannot_take_all_connections_to_a_service",
            ),
        ),
    },
    "streams": {
        "in all": (DEFAULTS.limit_streams, 10_000, ("test_open_streams_are_bounded_in_all_and_for_each_address",)),
        "per principal": (
            DEFAULTS.limit_streams_principal,
            100,
            ("test_streams_of_one_principal_are_bounded_wherever_it_comes_from",),
        ),
        "per address": (
            DEFAULTS.limit_streams_address,
            1000,
            ("test_open_streams_are_bounded_in_all_and_for_each_address",),
        ),
        "address of a trusted proxy's client": (
            1,
            1,
            (
                "test_a_trusted_proxys_client_is_its_last_untrusted_hop",
                "test_a_strangers_x_forwarded_for_is_not_believed",
            ),
        ),
        "messages of the queue": (EventLog.EVENTS, 256, ("test_the_log_is_bounded_by_number_and_by_size",)),
        "bytes of the queue": (
            DEFAULTS.limit_unread,
            MIB,
            ("test_who_lets_too_much_of_a_stream_pile_up_is_disconnected_at_once",),
        ),
        "keep-alive": (15 <= KEEP_ALIVE <= 25, True, ("test_idle_streams_are_kept_alive",)),
        "slow reader": (
            DEFAULTS.limit_reader,
            30,
            (
                "test_who_does_not_read_a_stream_is_disconnected",
                "test_who_does_not_read_a_large_answer_is_disconnected",
                "test_who_does_not_read_is_not_answered_again_until_it_does",
            ),
        ),
    },
    "sessions": {
        "idle": (DEFAULTS.limit_session_idle, 1800, ("test_a_session_ends_when_it_is_not_used_and_when_it_is_old",)),
        "at most": (
            DEFAULTS.limit_session_life,
            86_400,
            ("test_a_session_ends_when_it_is_not_used_and_when_it_is_old",),
        ),
        "per principal": (
            DEFAULTS.limit_sessions_principal,
            100,
            ("test_sessions_are_bounded_in_all_and_for_each_address",),
        ),
        "in all": (DEFAULTS.limit_sessions, 50_000, ("test_sessions_are_bounded_in_all_and_for_each_address",)),
    },
    "upstream": {
        "connect": (DEFAULTS.limit_connect, 5, ("test_a_slow_name_server_is_a_connection_that_took_too_long",)),
        "first byte": (
            DEFAULTS.limit_answer,
            30,
            ("test_the_first_byte_has_a_time_of_its_own", "test_an_answer_that_does_not_begin_in_time_is_a_tool_error"),
        ),
        "total": (
            60,
            60,
            (
                "test_a_slow_answer_that_has_begun_is_held_to_the_deadline_only",
                "test_an_upstream_that_is_too_slow_is_named_with_the_time",
            ),
        ),
        "decoded": (
            DEFAULTS.limit_answer_body,
            8 * MIB,
            ("test_what_breaks_our_limits_is_rejected", "test_an_answer_that_is_too_large_is_a_tool_error"),
        ),
        "ratio": (
            DEFAULTS.limit_answer_ratio,
            100,
            ("test_a_bomb_is_not_unpacked", "test_a_bomb_in_a_stream_is_rejected_while_little_is_unpacked"),
        ),
        "headers": (
            DEFAULTS.limit_answer_header_bytes,
            64 * 1024,
            ("test_what_breaks_our_limits_is_rejected", "test_an_answer_that_is_too_large_is_a_tool_error"),
        ),
        "event": (0, 0, "not built yet: only relayed MCP servers send events, and they bound theirs themselves"),
    },
    "breaker": {
        "opens": (
            DEFAULTS.limit_breaker_failures,
            5,
            (
                "test_five_failures_in_a_row_open_it_and_four_do_not",
                "test_an_origin_in_trouble_is_left_alone_and_comes_back",
                "test_a_service_in_trouble_is_left_alone_and_everybody_is_told",
            ),
        ),
        "never an HTTP status": (1, 1, ("test_no_status_and_no_broken_rule_of_ours_opens_it",)),
        "pause": (
            DEFAULTS.limit_breaker_pause,
            30,
            ("test_each_try_that_fails_makes_the_pause_longer_up_to_five_minutes",),
        ),
        "pause at most": (
            DEFAULTS.limit_breaker_most,
            300,
            ("test_whatever_happens_it_is_tried_again_within_five_minutes",),
        ),
        "one probe": (1, 1, ("test_one_call_tries_and_the_others_fail_meanwhile",)),
        "retries": (
            1,
            1,
            (
                "test_a_request_that_is_not_idempotent_is_never_repeated",
                "test_an_answer_that_broke_off_is_not_tried_again",
                "test_a_fresh_connection_that_breaks_is_not_tried_again",
            ),
        ),
        "budget": (DEFAULTS.limit_retries, 0.2, ("test_repeated_requests_have_a_budget_of_a_fifth",)),
    },
    "stdio": {"lines, times and back-off": (0, 0, STDIO)},
    "documents": {
        "size": (build.MAX_BYTES, MIB, ("test_a_bomb_is_a_problem_at_once",)),
        "depth": (build.MAX_DEPTH, 50, ("test_a_bomb_is_a_problem_at_once",)),
        "aliases": (build.MAX_ALIASES, 50, ("test_a_bomb_is_a_problem_at_once",)),
        "OpenAPI": (0, 0, CONTROL_PLANE),
    },
    "templates": {
        "source": (fuel.MAX_SOURCE, 64 * 1024, ("test_a_source_may_not_be_larger_than_64_kib",)),
        "work": (1, 1, ("test_work_and_memory_are_bounded",)),
        "out": (fuel.MAX_OUTPUT, MIB, ("test_a_result_may_not_be_larger_than_1_mib",)),
    },
    "reload": {
        "debounce": (
            reload.DEBOUNCE,
            0.2,
            ("test_a_hundred_reloads_under_load_fail_no_call_and_reach_every_session_and_stream",),
        ),
        "at most": (reload.DEBOUNCE_MOST, 2, ("test_a_changed_file_is_seen_within_two_seconds_without_any_command",)),
        "poll": (DEFAULTS.poll <= 10, True, ("test_a_missed_notification_is_repaired_by_the_next_poll",)),
        "keep last good": (1, 1, ("test_a_failed_reload_changes_nothing_that_a_client_can_see_and_is_reported",)),
    },
}

# The table of the design, left and middle column, as it stands there.
TABLE = {
    "first byte / headers / body": "5 s / 10 s / 30 s (idle 10 s)",
    "URL, headers": "8 KiB; 100 headers, 32 KiB; exactly one Host, never CL and TE",
    "body": "MCP 4 MiB, management 1 MiB, import 20 MiB, login 16 KiB",
    "JSON": "depth 64 (checked before decoding), duplicate envelope keys refused, id string ≤ 256 B or int ±2^53, "
    "batch ≤ 20 where the revision allows",
    "in flight": "2,000 in all, 1,000 per tenant, 512 per principal and upstream, queue ≤ 2 s",
    "streams": "10,000 in all, 100 per authenticated principal, 1,000 per address without one (the address of a "
    "trusted proxy's client); queue 256 messages or 1 MiB; keep-alive 15–25 s; slow reader 30 s",
    "sessions": "idle 30 min, 24 h at most, 100 per principal, 50,000 in all",
    "upstream": "connect 5 s, first byte 30 s, total 60 s (waiting for a person not counted); 8 MiB decoded, ratio "
    "100:1; headers 64 KiB; event 4 MiB",
    "breaker": "opens after 5 consecutive connect failures, resets or timeouts (never an HTTP status), 30 s × n ≤ "
    "300 s, one probe; retries only before the request was sent, budget 20 %",
    "stdio": "line 4 MiB, init 10 s, stop: close stdin 2 s → TERM 3 s → KILL the group; back-off 1→60 s",
    "documents": "1 MiB, depth 50, 50 aliases; OpenAPI 20 MiB, 2,000 operations, reference depth 64, no external "
    "references",
    "templates": "64 KiB source, bounded work, 1 MiB out",
    "reload": "debounce 200 ms (2 s at most), poll 10 s",
}

RULES: dict[int, dict[str, Held]] = {
    1: {"Defining a process is code execution": STDIO},
    2: {
        "Deny by default: a mode that is not built is not served": ("test_the_problem_is_found_at_its_place",),
        "The canonical routed path decides": (
            "test_a_path_that_no_router_serves_is_not_found",
            "test_a_host_that_is_not_ours_is_refused_at_every_door",
        ),
        "Any exception in authentication is a 401": ("test_whatever_goes_wrong_in_a_judge_nobody_gets_in",),
        "There is no empty principal": ("test_there_is_no_empty_principal", "test_a_random_authorization_is_nobody"),
        "Who may not is refused at every door": ("test_who_may_not_is_refused_everywhere",),
        "The admin listener asks for its token": ("test_the_admin_token_is_needed_where_one_is_set",),
    },
    3: {
        "Names are unique per tenant": ("test_the_same_name_in_another_tenant_is_another_document",),
        "A foreign session answers like a missing one": ("test_a_session_belongs_to_its_endpoint_on_every_worker",),
        "Repository calls need the tenant": CONTROL_PLANE,
    },
    4: {
        "Every outbound socket is opened by the guarded connector": ("test_every_outbound_connection_is_made_in_net",),
        "The address connected to is the one that was checked": (
            "test_the_address_connected_to_is_the_one_that_was_checked",
            "test_a_name_that_leads_inside_is_refused_and_not_connected_to",
            "test_a_literal_address_inside_is_refused",
            "test_one_refused_address_refuses_them_all",
        ),
        "Addresses inside of addresses are unwrapped": (
            "test_an_address_inside_another_is_judged_like_itself",
            "test_an_address_of_no_public_place_is_refused",
            "test_what_is_called_public_is_never_what_python_knows_to_be_special",
        ),
        "No name leads to metadata": ("test_a_listed_name_never_leads_to_metadata_or_to_many",),
        "Redirects are not followed": (
            "test_a_redirect_is_not_followed",
            "test_a_redirect_of_a_service_is_not_followed",
        ),
        "Proxies of the environment are ignored": ("test_proxies_of_the_environment_are_ignored",),
        "A configured proxy is judged, and so is its target": (
            "test_a_proxy_inside_is_refused_like_any_target",
            "test_a_target_inside_is_refused_before_a_proxy_is_asked",
        ),
        "The setting": (
            "test_the_egress_setting_guards_the_calls_of_tools",
            "test_the_place_suggests_how_open_a_gateway_is",
        ),
        "The validator fetches nothing": (
            "test_a_reference_that_leads_out_is_never_fetched",
            "test_an_output_schema_is_never_fetched",
            "test_the_problem_is_found_at_its_place",
        ),
    },
    5: {
        "Nothing of the caller passes by itself": (
            "test_no_header_of_a_client_passes_by_itself",
            "test_a_request_has_what_the_document_says_and_nothing_of_the_caller",
        ),
        "What the document names passes": ("test_a_header_that_the_document_names_passes_and_no_other",),
        "The configured credential wins": (
            "test_an_argument_cannot_take_the_place_of_a_configured_credential",
            "test_a_configured_header_wins_over_an_argument_of_the_same_name",
        ),
    },
    6: {
        "Path segments": (
            "test_a_path_argument_stays_one_segment",
            "test_a_path_argument_that_climbs_is_refused",
            "test_path_and_query_arguments_stay_where_they_are",
        ),
        "Header values": ("test_a_header_value_holds_no_line_end", "test_a_header_argument_is_one_header_or_an_error"),
        "Bodies are built": (
            "test_a_json_text_keeps_its_shape",
            "test_a_form_text_keeps_its_fields",
            "test_multipart_parts_stay_parts",
        ),
        "The origin": ("test_where_a_call_goes_is_decided_by_the_document_alone",),
    },
    7: {
        "Random and bound": (
            "test_a_forged_session_id_is_not_found_and_costs_nothing",
            "test_an_identifier_of_another_gateway_is_never_ours",
            "test_one_sessions_events_are_not_replayed_to_another",
        ),
        "Capped and expiring": (
            "test_sessions_are_bounded_in_all_and_for_each_address",
            "test_a_session_ends_when_it_is_not_used_and_when_it_is_old",
        ),
    },
    8: {
        "Compile aside, swap, keep the last good one": (
            "test_a_failed_reload_changes_nothing_that_a_client_can_see_and_is_reported",
            "test_a_request_sees_exactly_one_snapshot",
            "test_compile_starts_nothing",
        ),
        "Quarantine per document": ("test_one_tenants_bad_document_never_blocks_anothers",),
        "Files are written whole": ("test_a_reader_sees_the_old_text_or_the_new_one",),
        "If-Match and audit": CONTROL_PLANE,
    },
    9: {
        "Notifications carry no configuration": (
            "test_a_message_that_says_more_than_a_revision_is_refused",
            "test_postgres_tells_the_revision_and_nothing_else",
            "test_what_is_no_revision_is_not_heard",
        ),
        "A listener of its own": (
            "test_the_admin_listener_is_another_one",
            "test_a_page_cannot_reach_the_admin_listener",
        ),
        "Figures of all workers": ("test_figures_are_summed_over_the_workers",),
    },
    10: {"Cookies, keys and passwords": CONTROL_PLANE},
    11: {
        "Everything is bounded, as settings": (
            "test_the_page_on_limits_lists_every_limit_that_can_be_set",
            "test_each_limit_that_is_set_reaches_its_object",
        ),
        "Overload says when to try again": (
            "test_calls_under_way_are_bounded_in_all",
            "test_a_router_bounds_how_fast_calls_come",
            "test_a_refused_call_took_no_place_and_no_stream",
        ),
        "Routers": (
            "test_a_router_bounds_how_many_calls_are_under_way",
            "test_over_the_sse_transport_the_refusal_is_the_answer",
            "test_workers_share_what_a_router_may",
        ),
        "Connections": ("test_silent_connections_make_room_for_new_ones",),
    },
    12: {
        "The page of an endpoint": ("test_a_hostile_title_is_text_on_the_page",),
        "The web interface": CONTROL_PLANE,
    },
    13: {
        "Secrets and bodies stay out": ("test_a_secret_is_sent_and_never_said",),
        "Control characters are escaped": ("test_nothing_that_a_client_sends_can_forge_a_line_of_the_log",),
        "Labels are bounded": ("test_clients_cannot_make_labels",),
        "Audit": CONTROL_PLANE,
    },
    14: {
        "Calls under way finish": ("test_calls_under_way_finish_and_readiness_says_503_meanwhile",),
        "Streams end": ("test_a_signal_ends_the_gateway_within_ten_seconds_with_idle_streams_of_every_kind_open",),
        "A hard cap": ("test_calls_that_do_not_end_are_cut_when_the_time_to_drain_is_over",),
    },
}


@functools.cache
def functions() -> frozenset[str]:
    """Every test there is, but for those that are always skipped."""
    found: set[str] = set()
    for folder in ("unit", "interaction", "contracts", "structure", "e2e"):
        for path in (TESTS / folder).rglob("test_*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_skipped(node):
                    found.add(node.name)
    return frozenset(found)


def _is_skipped(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("skip" in ast.unparse(mark) for mark in node.decorator_list)


def missing(held: Held) -> list[str]:
    """Names that lead nowhere, or what stands in place of a reason."""
    if isinstance(held, str):
        return [] if held.startswith("not built yet: ") else [held]
    return [name for name in held or ("a test",) if name not in functions()]


def test_each_row_of_the_table_is_here() -> None:
    assert list(ROWS) == list(TABLE)
    assert list(RULES) == list(range(1, 15))


@pytest.mark.parametrize("limit", TABLE)
def test_each_limit_has_its_default_and_tests(limit: str) -> None:
    assert ROWS[limit]
    for part, (has, wanted, held) in ROWS[limit].items():
        assert has == wanted, part
        assert missing(held) == [], part


@pytest.mark.parametrize("number", RULES)
def test_each_rule_has_tests(number: int) -> None:
    assert RULES[number]
    for part, held in RULES[number].items():
        assert missing(held) == [], part

"""Judges routers beyond their names: which web pages may call, and limits that go together."""

from __future__ import annotations

from portico.config.check.auth import judge_auth
from portico.config.check.draft import Draft
from portico.config.check.urls import judge_origin
from portico.config.document import Router
from portico.config.positions import Path


def judge_routers(draft: Draft) -> None:
    for path, router in draft.routers:
        judge_auth((*path, "auth"), router.auth, draft.findings)
        _limits(draft, (*path, "limits"), router)
        if router.cors is None:
            continue
        origins = (*path, "cors", "allowOrigins")
        for index, origin in enumerate(router.cors.allow_origins):
            judge_origin((*origins, index), origin, draft.findings)
        if "*" in router.cors.allow_origins and router.cors.allow_credentials:
            draft.findings.error(
                (*path, "cors", "allowCredentials"),
                "credentials-for-all-origins",
                "every web page of the world may call with its visitor's credentials",
                "Name the origins in allowOrigins, or set allowCredentials to false",
            )


def _limits(draft: Draft, path: Path, router: Router) -> None:
    if router.limits.burst is not None and router.limits.rate is None:
        draft.findings.warning(
            (*path, "burst"),
            "burst-without-rate",
            "without a rate any number of calls may come at once, so the burst says nothing",
            "Add a rate such as 100/s, or remove the burst",
        )

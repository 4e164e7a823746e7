"""What a listener does with a request before it is sent on: limits of the load balancer, and cookies that tie clients
to servers.
"""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.bandwidth_limit.v3 import bandwidth_limit_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.http.stateful_session.v3 import stateful_session_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.http.stateful_session.cookie.v3 import cookie_pb2

from ackbox.dataplane.envoy_config import packed, seconds
from ackbox.dataplane.http_settings import HttpSettings, StickyCookie

SERVER_HEADER = "x-ackbox-server"
"""Tells the script on the way back which server answered; clients don't see it."""

LIMIT = "envoy.filters.http.local_ratelimit"
BANDWIDTH = "envoy.filters.http.bandwidth_limit"
INSERTED = "envoy.filters.http.stateful_session"
REWRITTEN = "envoy.filters.http.lua"
ROUTER = "envoy.filters.http.router"

KIBIBYTES_PER_MEGABIT = 1_000_000 / 8 / 1024

OVER_LIMIT = 503
"""What a client gets when the load balancer has had too many requests."""

# The server's own cookie carries the server's address in place of its value, as SLB does it.
_SCRIPT = """
local name = "%s"

local function decoded(text)
  return (text:gsub("%%x%%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function encoded(text)
  return (text:gsub(".", function(character) return string.format("%%02x", string.byte(character)) end))
end

function envoy_on_request(handle)
  local cookies = handle:headers():get("cookie") or ""
  for pair in cookies:gmatch("[^;]+") do
    local key, value = pair:match("^%%s*(.-)%%s*=%%s*\\"?(%%x*)\\"?%%s*$")
    if key == name and value ~= "" then
      -- A value that is no address is an error, which leaves the choice to the scheduler.
      pcall(handle.setUpstreamOverrideHost, handle, decoded(value), false)
    end
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local server = headers:get("%s")
  headers:remove("%s")
  if server == nil then
    return
  end
  local cookies = {}
  for index = 1, headers:getNumValues("set-cookie") do
    local cookie = headers:getAtIndex("set-cookie", index - 1)
    local key, attributes = cookie:match("^%%s*(.-)%%s*=[^;]*(.*)$")
    cookies[index] = key == name and name .. "=" .. encoded(server) .. attributes or cookie
  end
  headers:remove("set-cookie")
  for _, cookie in ipairs(cookies) do
    headers:add("set-cookie", cookie)
  end
end
"""


def http_filters(settings: HttpSettings) -> list[Any]:
    """Envoy's HTTP filters of a listener, in their order. All but the last do nothing but what a route tells them to."""
    found = []
    if settings.requests_per_second is not None:
        found.append(_filter(LIMIT, local_rate_limit_pb2.LocalRateLimit(stat_prefix="requests")))
    if settings.bandwidth is not None:
        found.append(_filter(BANDWIDTH, bandwidth_limit_pb2.BandwidthLimit(stat_prefix="bandwidth")))
    cookies = [cookie for _, cookie in settings.cookies]
    if any(cookie.inserted for cookie in cookies):
        found.append(_filter(INSERTED, stateful_session_pb2.StatefulSession()))
    if any(not cookie.inserted for cookie in cookies):
        found.append(_filter(REWRITTEN, lua_pb2.Lua()))
    found.append(_filter(ROUTER, router_pb2.Router(suppress_envoy_headers=True)))
    return found


def limit(host: Any, settings: HttpSettings) -> None:
    """Hold a listener's virtual host to the limits. Here they count once, whatever certificate a client met."""
    configs = host.typed_per_filter_config
    if settings.requests_per_second is not None:
        configs[LIMIT].CopyFrom(packed(_request_limit(settings.requests_per_second)))
    if settings.bandwidth is not None:
        configs[BANDWIDTH].CopyFrom(packed(_bandwidth_limit(settings.bandwidth)))


def tie(target: Any, cookie: StickyCookie) -> None:
    """Make a route, or a cluster's share of it, tie clients to servers by a cookie."""
    if cookie.inserted:
        state = cookie_pb2.CookieBasedSessionState()
        state.cookie.name, state.cookie.path = cookie.name, "/"
        # Zero makes it a session's.
        state.cookie.ttl.CopyFrom(seconds(cookie.lifetime))
        session = stateful_session_pb2.StatefulSessionPerRoute()
        extension = session.stateful_session.session_state
        extension.name = "envoy.http.stateful_session.cookie"
        extension.typed_config.CopyFrom(packed(state))
        target.typed_per_filter_config[INSERTED].CopyFrom(packed(session))
        return
    script = _SCRIPT % (_quoted(cookie.name), SERVER_HEADER, SERVER_HEADER)
    code = lua_pb2.LuaPerRoute(source_code=base_pb2.DataSource(inline_string=script))
    target.typed_per_filter_config[REWRITTEN].CopyFrom(packed(code))
    header = target.response_headers_to_add.add()
    header.header.key, header.header.value = SERVER_HEADER, "%UPSTREAM_REMOTE_ADDRESS%"
    header.append_action = header.OVERWRITE_IF_EXISTS_OR_ADD


def _filter(name: str, config: Any) -> Any:
    return hcm_pb2.HttpFilter(name=name, typed_config=packed(config))


def _request_limit(per_second: int) -> Any:
    config = local_rate_limit_pb2.LocalRateLimit(stat_prefix="requests")
    config.status.code = OVER_LIMIT
    bucket = config.token_bucket
    bucket.max_tokens, bucket.tokens_per_fill.value = per_second, per_second
    bucket.fill_interval.CopyFrom(seconds(1))
    for share in (config.filter_enabled, config.filter_enforced):
        share.default_value.numerator = 100
    return config


def _bandwidth_limit(megabits: int) -> Any:
    config = bandwidth_limit_pb2.BandwidthLimit(
        stat_prefix="bandwidth", enable_mode=bandwidth_limit_pb2.BandwidthLimit.REQUEST_AND_RESPONSE
    )
    config.limit_kbps.value = round(megabits * KIBIBYTES_PER_MEGABIT)
    return config


def _quoted(text: str) -> str:
    r"""A text inside a Lua string: every byte that is no letter or digit as `\ddd`."""
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03d}" for byte in text.encode())

-- Load for wrk: args are a file with one raw HTTP request, in which @@@@@@@@ stands for a number that is new in every
-- request, and the mean pause of a connection in milliseconds (0 for none).

local parts, count = {}, 10000000

function init(args)
  local text = assert(io.open(args[1], "rb")):read("*a")
  for part in (text .. "@@@@@@@@"):gmatch("(.-)@@@@@@@@") do parts[#parts + 1] = part end
  local pause = tonumber(args[2])
  if pause > 0 then
    math.randomseed(os.time())
    delay = function() return math.floor(2 * pause * math.random() + 0.5) end
  end
end

function request()
  count = count + 1
  return table.concat(parts, count)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"calls": %d, "seconds": %f, "p50": %f, "p99": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

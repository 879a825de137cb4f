-- Instants, kept in UTC to the microsecond; with timezone = false a wall-clock time, which is no
-- instant and has no zone.

local base = require "moonpool.field.base"
local core = require "moonpool.core"

local take_instant, take_wall = base.take_by "datetime", base.take_by "walltime"

return {
  name = "datetime",
  kind = "datetime",
  options = { min = true, max = true, timezone = true },
  take = function(field, value)
    return (field.timezone == false and take_wall or take_instant)(field, value)
  end,
  prepare = function(field)
    if field.timezone == nil then field.timezone = true end
    if type(field.timezone) ~= "boolean" then base.bad_option(field, "timezone is true or false") end
    if not field.timezone then field.kind_name, field.kind = "walltime", core.kind.walltime end
    base.prepare_range(field)
  end,
  check = base.check_range,
  accepts = base.accepts_kind,
}

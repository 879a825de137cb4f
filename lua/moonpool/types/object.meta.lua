---@meta
-- What every object answers to besides its fields.

---@class moonpool.object
---@field pk any the key
local Object = {}

--- Insert what was never loaded or saved; of the rest, write the changed columns.
---@param options {fields: string[]?, insert: boolean?}?
---@return moonpool.object self
function Object:save(options) end
--- Delete the row. The object is new again, without its generated key.
---@return integer rows
function Object:delete() end
--- Delete the row for good, also where the entity has soft_delete.
---@return integer rows
function Object:purge() end
--- Take the mark of a soft delete off the row.
---@return moonpool.object self
function Object:restore() end
--- Read the row again.
---@return moonpool.object self
function Object:refresh() end
--- Whether save would write something.
---@return boolean
function Object:is_dirty() end
--- The fields whose value the database does not have.
---@return string[]
function Object:dirty_fields() end
--- A plain table of what is loaded.
---@param options {exclude: string[]?, only: string[]?, with: string[]?}? with: relations that are loaded
---@return table
function Object:to_table(options) end

-- Matching of texts, as far as two dialects write it alike: LIKE for what is a parameter, whose wildcards are escaped in
-- the value, and functions for what is calculated, whose wildcards could not be.

local pattern = require "moonpool.dialect.pattern"

local text = {}

--- A text whose case counts. change: what is done to the value of a parameter.
function text.plain(w, node, change)
  if node.op == "slot" then return w:slot(node, change) end
  return w:operand(node)
end

--- node.operand equals node.text, or is LIKE it; write: writes either of them.
function text.match(w, node, write)
  write(w, node.operand)
  if node.how == "equals" then
    w:say(" = ")
    write(w, node.text)
  else
    w:say(" LIKE ")
    write(w, node.text, pattern.for_like[node.how])
    w:say(" ESCAPE '!'")
  end
end

--- How a text begins or ends with one that is calculated; both write themselves.
text.found = {
  starts = function(w, whole, part)
    w:say("left("); whole(w):say(", char_length("); part(w):say(")) = "); part(w)
  end,
  ends = function(w, whole, part)
    w:say("right("); whole(w):say(", char_length("); part(w):say(")) = "); part(w)
  end,
}

return text

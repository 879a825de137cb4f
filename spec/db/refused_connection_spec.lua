-- What whoever reads no more than the line of an error learns when there is no connection: where it was looked for, and why not.

local mp = require "moonpool"
local servers = require "spec.support.servers"

local function refused(url, options)
  options = options or {}
  options.pool, options.retry = { min = 0, max = 1 }, { attempts = 1 }
  local db <close> = mp.open(url, options)
  local nothing, err = mp.try(db.ping, db)
  assert.is_nil(nothing)
  assert.falsy(tostring(err):find("s3cret", 1, true), tostring(err))
  return tostring(err)
end

for _, scheme in ipairs{ "postgres", "mariadb" } do
  describe("no connection to " .. scheme, function()
    local function url(rest)
      return scheme .. "://app:s3cret@" .. rest
    end

    it("names host, port and reason where no server listens", function()
      local text = refused(url "127.0.0.1:1/shop")
      assert.matches("^connect_failed: .*127%.0%.0%.1\", port 1 failed: %u?%l+", text)
      assert.falsy(text:find("%(%d+%)"), text) -- of what the library calls its reason
    end)

    it("names the socket that is not there", function()
      local text = refused(url "%2Fnowhere%2Fdatabase/shop")
      assert.matches("^connect_failed: .*\"/nowhere/database[^\"]*\" failed: No such file or directory$", text)
    end)

    it("names the host that nobody knows", function()
      local text = refused(url "no-such-host.invalid/shop")
      assert.matches("^connect_failed: .*\"no%-such%-host%.invalid\"", text)
      assert.truthy(text:find("ame", 1, true) and not text:find("%(%-?%d+%)"), text) -- "Name or service", "name resolution"
    end)
  end)

  local good = servers[scheme]
  if good and servers.set and scheme == "mariadb" then
    it("is refused to who has to set a new password", function()
      local admin <close> = mp.open(servers.mariadb_admin)
      admin:execute("create or replace user moonpool_expired@localhost identified by 's3cret' password expire")
      local text = refused((good:gsub("//[^@]+@", "//moonpool_expired:s3cret@"):gsub("/[^/]*$", "/")))
      admin:execute("drop user moonpool_expired@localhost")
      assert.matches("^auth_failed: .*%(the password has expired: set a new one%)$", text)
    end)
  end
  if good and servers.set then
    describe("a login at " .. scheme .. " that is refused", function()
      it("names the server and the user, and no password", function()
        local text = refused((good:gsub("//[^@]+@", "//nobody:s3cret@")))
        assert.matches("^auth_failed: connection to server .* failed: .*[\"']nobody[\"']", text)
      end)

      it("says how to give the password that was not given", function()
        local text = refused((good:gsub("//[^@]+@", "//nobody@")))
        assert.matches("^auth_failed: ", text)
        assert.truthy(text:find("give the option password", 1, true) or text:find("using password: NO", 1, true), text)
      end)
    end)
  end
end

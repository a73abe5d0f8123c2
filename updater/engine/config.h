// Reads /usr/lib/hostctl/hostctl.toml, then /etc/hostctl/hostctl.toml over it, key by key. Strict:
// an unknown key, a wrong type or a value out of range is kUsage with "file:line". Only the rescue
// reads leniently, because it must start whatever the files say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/engine/record.h"
#include "updater/health/health.h"
#include "updater/release/signature.h"

namespace hostos {

// What happens after a release is blessed.
struct ProbationPolicy {
  Seconds time{3600};      // how long its health is watched; 0: not at all
  Seconds interval{60};    // between two rounds of checks
  bool fall_back = false;  // when it goes bad: fall back, instead of only reporting it
};

struct Config {
  // [source]
  std::string url;              // of the OSTree archive repository; http, https
  bool allow_http = false;      // a plain http:// url
  std::string proxy;            // http, https; empty: none
  std::string token_file;       // a bearer token for url; empty: none
  uint64_t rate_limit = 0;      // bytes per second from url; 0: no limit
  bool refuse_metered = false;  // no update is fetched over a metered network
  std::string product = "hostos";
  std::string channel = "stable";
  std::vector<std::string> keys = {"/usr/lib/hostos/keys.d", "/etc/hostctl/keys.d"};
  SignatureRule signatures;
  // The rule in the release's own file, if that was read; and whether an operator's file sets the
  // policy or the number itself.
  std::optional<SignatureRule> released_signatures;
  bool own_policy = false, own_required = false;
  // [update]
  uint32_t tries = 3;  // boots a new release gets, 1 to 10
  // [health]
  HealthPolicy health;
  // [probation]
  ProbationPolicy probation;
};

// Reads the files that exist; a later file overrides an earlier one. The first is the release's
// own.
Result<Config> LoadConfig(const std::vector<std::string>& files);

// As LoadConfig, for a rescue, which may be older than the files and must start whatever they say:
// leaves out each key, line and file that it cannot use, and names it in `unused`.
Config LoadWhatCanBe(const std::vector<std::string>& files, std::vector<std::string>& unused);

// The signature rule for a release: the configured one, but at least as strict as that of the
// release committed last, so the file of an older release does not weaken it after a rollback. What
// the operator sets is taken as it is.
SignatureRule SignatureRuleOf(const Config& config, const Record& record);

}  // namespace hostos

// /usr/lib/hostctl/hostctl.toml, then /etc/hostctl/hostctl.toml over it, key by key. Strict: an
// unknown key, a wrong type or a value out of range is kUsage with "file:line".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "updater/base/result.h"
#include "updater/engine/record.h"
#include "updater/health/health.h"
#include "updater/source/sign.h"

namespace hostos {

// What follows the bless of a release.
struct ProbationPolicy {
  Seconds time{3600};      // how long its health is watched; 0: not at all
  Seconds interval{60};    // between two rounds of checks
  bool fall_back = false;  // when it goes bad: fall back, instead of only saying so
};

struct Config {
  // [source]
  std::string url;          // of the OSTree archive repository; http, https
  bool allow_http = false;  // a plain http:// url
  std::string proxy;        // http, https; empty: none
  std::string token_file;   // a bearer token for url; empty: none
  std::string product = "hostos";
  std::string channel = "stable";
  std::vector<std::string> keys = {"/usr/lib/hostos/keys.d", "/etc/hostctl/keys.d"};
  SignatureRule signatures;
  // What the release's own file says of it, if it was read; and whether the operator's says more.
  std::optional<SignatureRule> released_signatures;
  bool own_policy = false, own_required = false;
  // [update]
  uint32_t tries = 3;  // boots a new release gets, 1 to 10
  // [health]
  HealthPolicy health;
  // [probation]
  ProbationPolicy probation;
};

// Reads the files that exist, later ones over earlier ones. The first is the release's own.
Result<Config> LoadConfig(const std::vector<std::string>& files);

// The same for a rescue, which may be older than the files, and must start whatever is in them:
// each key, line and file that it cannot use is left out, and named in `unused`.
Config LoadWhatCanBe(const std::vector<std::string>& files, std::vector<std::string>& unused);

// Who has to have signed a release: as configured, and no less than the release that was committed
// last says. So after a rollback the older one's file does not decide alone. What the operator
// chose is his.
SignatureRule SignatureRuleOf(const Config& config, const Record& record);

}  // namespace hostos

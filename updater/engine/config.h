// /usr/lib/hostctl/hostctl.toml, then /etc/hostctl/hostctl.toml over it, key by key. Strict: an
// unknown key, a wrong type or a value out of range is kUsage with "file:line".
#pragma once

#include <string>
#include <vector>

#include "updater/base/result.h"
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
  // [update]
  uint32_t tries = 3;  // boots a new release gets, 1 to 10
  // [health]
  HealthPolicy health;
  // [probation]
  ProbationPolicy probation;
};

// Reads the files that exist, later ones over earlier ones.
Result<Config> LoadConfig(const std::vector<std::string>& files);

// The same for a rescue, which may be older than the files, and must start whatever is in them:
// each key, line and file that it cannot use is left out, and named in `unused`.
Config LoadWhatCanBe(const std::vector<std::string>& files, std::vector<std::string>& unused);

}  // namespace hostos

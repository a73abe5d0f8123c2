// What a machine says of a repository: it refuses what is there, or it is good.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "tests/tuf/repository.h"

namespace hostos::tuf {

// The machine refuses what the repository has, for this reason, and trusts this afterwards.
inline void CheckRefused(Machine& machine, const std::string& reason, const std::string& trusted,
                         uint64_t now = kNow) {
  const Error error = machine.Refused(now);
  CHECK(error.code == Code::kNotTrusted);
  CHECK(error.message == reason);
  CHECK(machine.Trusted() == trusted);
}

inline void CheckGood(Machine& machine, const std::string& trusted, uint64_t now = kNow) {
  const Result<Client> client = machine.Refresh(now);
  if (!client) FAIL(client.error().message);
  CHECK(machine.Trusted() == trusted);
}

}  // namespace hostos::tuf

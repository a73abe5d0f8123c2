// What the verbs share that change what nodes find: they sign what people have seen, publish what
// is complete, and say what is left to do.
#pragma once

#include <string>
#include <vector>

#include "images/arguments.h"
#include "images/publish/secret_key.h"
#include "images/tuf_repository.h"
#include "images/verb_options.h"
#include "updater/base/result.h"

namespace hostos {

inline constexpr Option kDigest = {
    "digest", "SHA256", Times::kAtMostOnce,
    "sign what `staged` showed with this digest, or its first 32 digits, and do not ask"};

// Loads the keys first, so that an unreadable one is reported before anything is staged.
struct Signing {
  std::vector<SecretKey> keys;
  TufRepository repository;
  bool found_staged = repository.HasStaged();  // staged by an earlier run
};

Result<Signing> OpenFrom(const Arguments& arguments);

// Whether what nodes see is still valid; kNotTrusted when they refuse it.
Result<> CheckFresh(const std::vector<PublishedRole>& roles, const Arguments& arguments,
                    uint64_t now);

// One sentence about what is to be renewed; "" when there is nothing.
std::string Due(const std::vector<PublishedRole>& roles, const Arguments& arguments, uint64_t now);

// What signers look at.
std::string TextOf(const Staging& staging);
Json ToJson(const Staging& staging);
Json ToJson(const std::vector<StagedRole>& roles);

// Nobody signs what they have not seen. Whoever runs a verb knows what it just made from published
// metadata; what was staged before, or came on a stick, must be looked at.
Result<> CheckSeen(const Signing& signing, const Arguments& arguments, Json& done);

// kStaged when signatures are missing.
Result<> CheckComplete(const std::vector<StagedRole>& missing, const Arguments& arguments);

// Every verb ends here.
Result<> Finish(Signing& signing, const Arguments& arguments, const SignResult& result,
                Json done = Json::object());

Result<> Sign(Signing& signing, const Arguments& arguments, Json done = Json::object());

}  // namespace hostos

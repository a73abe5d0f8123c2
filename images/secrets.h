// Secret keys for the verbs, and the source of their passphrases: --passphrase-file, else the
// environment variable HOSTIMAGE_PASSPHRASE, else the terminal, if there is one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "images/arguments.h"
#include "images/publish/passphrase.h"
#include "images/publish/secret_key.h"
#include "updater/base/result.h"
#include "updater/release/signature.h"

namespace hostos {

inline constexpr Option kPassphraseFile = {
    "passphrase-file", "FILE", Times::kAtMostOnce,
    "its first line is the keys' passphrase (default: $HOSTIMAGE_PASSPHRASE, else asked for)"};

// Removes the secrets that the command line names from the environment, because ukify and the other
// programs that a verb runs inherit it. Call it at the start of the process.
void HideSecrets(std::span<const char* const> words);

AskPassphrase PassphraseFrom(const Arguments& arguments);

// The passphrase for new keys; empty when none is given. With `ask` one is required: the terminal
// is asked for it, twice.
Result<std::string> NewPassphrase(const Arguments& arguments, bool ask);

// The keys from every source that the option names.
Result<std::vector<SecretKey>> KeysFrom(const Arguments& arguments, std::string_view option);

}  // namespace hostos

// Secret keys as the verbs take them, and where their passphrases come from: --passphrase-file,
// else the environment variable HOSTIMAGE_PASSPHRASE, else the terminal, if there is one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "images/arguments.h"
#include "updater/base/result.h"
#include "updater/source/passphrase.h"
#include "updater/source/sign.h"

namespace hostos {

inline constexpr Option kPassphraseFile = {
    "passphrase-file", "FILE", Times::kAtMostOnce,
    "its first line is the keys' passphrase (default: $HOSTIMAGE_PASSPHRASE, else asked for)"};

// Takes the secrets that the command line names out of the environment, for ukify and the other
// programs that a verb runs inherit that. At the start of the process.
void HideSecrets(std::span<const char* const> words);

AskPassphrase PassphraseFrom(const Arguments& arguments);

// What new keys are encrypted with; empty when none is given. With `ask`, one has to be: a terminal
// is asked for it, twice.
Result<std::string> NewPassphrase(const Arguments& arguments, bool ask);

// The keys of every source that the option names.
Result<std::vector<SecretKey>> KeysFrom(const Arguments& arguments, std::string_view option);

}  // namespace hostos

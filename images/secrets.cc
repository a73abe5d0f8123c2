#include "images/secrets.h"

#include <openssl/evp.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <map>
#include <optional>

#include "images/publish/secret_key.h"
#include "updater/release/secret_text.h"

namespace hostos {
namespace {

constexpr const char* kPassphraseVariable = "HOSTIMAGE_PASSPHRASE";

// Remembers the passphrase: a pipe gives it only once, however many keys need it.
Result<std::string> PassphraseIn(const std::string& file) {
  static std::map<std::string, std::string> read;
  if (const auto found = read.find(file); found != read.end()) return found->second;
  std::string passphrase = TRY(ReadSecretFile(file));
  passphrase.resize(std::min(passphrase.size(), passphrase.find_first_of("\r\n")));
  return read[file] = std::move(passphrase);
}

// The passphrase from the file or the variable; absent when neither is given.
Result<std::optional<std::string>> GivenPassphrase(const Arguments& arguments) {
  std::string where = kPassphraseVariable, passphrase;
  if (arguments.Has(kPassphraseFile.name)) {
    where = arguments.Get(kPassphraseFile.name);
    passphrase = TRY(PassphraseIn(where));
  } else if (std::optional<std::string> variable = TakeVariable(kPassphraseVariable)) {
    passphrase = *std::move(variable);
  } else {
    return std::nullopt;
  }
  if (passphrase.empty())
    return Fail(Code::kUsage, "{}: expected a passphrase, found nothing", where);
  return passphrase;
}

// Asks without echo.
Result<std::string> AskTerminal(const std::string& key, bool twice) {
  if (::isatty(STDIN_FILENO) != 1)
    return Fail(Code::kUsage,
                "{}: expected its passphrase in --passphrase-file or {}, found neither, nor a "
                "terminal to ask",
                key, kPassphraseVariable);
  std::array<char, 1024> passphrase;
  sigset_t none, before;  // so that an interrupt ends the prompt
  sigemptyset(&none);
  (void)::pthread_sigmask(SIG_SETMASK, &none, &before);
  const int failed =
      EVP_read_pw_string(passphrase.data(), static_cast<int>(passphrase.size()),
                         std::format("Passphrase of {}: ", key).c_str(), twice ? 1 : 0);
  (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (failed != 0) return Fail(Code::kFailed, "{}: no passphrase was given", key);
  return std::string(passphrase.data());
}

}  // namespace

void HideSecrets(std::span<const char* const> words) {
  (void)TakeVariable(kPassphraseVariable);
  for (std::string_view word : words) {
    const size_t equals = word.starts_with("--") ? word.find('=') : word.npos;
    if (equals != word.npos) word.remove_prefix(equals + 1);
    if (word.starts_with(kVariable)) (void)TakeVariable(std::string(word.substr(kVariable.size())));
  }
}

AskPassphrase PassphraseFrom(const Arguments& arguments) {
  return [&arguments](const std::string& key) -> Result<std::string> {
    const std::optional<std::string> given = TRY(GivenPassphrase(arguments));
    if (given) return *given;
    static std::map<std::string, std::string> asked;  // `build` needs a key in several steps
    if (const auto before = asked.find(key); before != asked.end()) return before->second;
    return asked[key] = TRY(AskTerminal(key, /*twice=*/false));
  };
}

Result<std::string> NewPassphrase(const Arguments& arguments, bool ask) {
  const std::optional<std::string> given = TRY(GivenPassphrase(arguments));
  if (given || !ask) return given.value_or("");
  return AskTerminal("the new keys", /*twice=*/true);
}

Result<std::vector<SecretKey>> KeysFrom(const Arguments& arguments, std::string_view option) {
  return LoadSecretKeys(arguments.All(option), PassphraseFrom(arguments));
}

}  // namespace hostos

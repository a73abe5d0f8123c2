// The passphrase of an encrypted key, or the PIN of a token. It is asked for only when one is
// needed.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "updater/base/result.h"

namespace hostos {

// The value of an environment variable; nothing when it is not set. Removes it from the
// environment, so that programs that are started later do not inherit it and nobody reads it in
// /proc. Call it before the first thread starts.
std::optional<std::string> TakeVariable(const std::string& name);

// Returns the passphrase of `key`, which is its name for people.
using AskPassphrase = std::function<Result<std::string>(const std::string& key)>;

// The same as OpenSSL's callback (pem_password_cb), which gets this object as its argument. Asks
// once, however often OpenSSL does.
class PassphraseCallback {
 public:
  PassphraseCallback(std::string key, const AskPassphrase& ask) : key_(std::move(key)), ask_(ask) {}

  const Result<std::string>& Ask();
  static int Call(char* buffer, int size, int writing, void* self) noexcept;
  // Absent when OpenSSL did not ask.
  const std::optional<Result<std::string>>& answer() const { return answer_; }

 private:
  std::string key_;
  const AskPassphrase& ask_;
  std::optional<Result<std::string>> answer_;
};

}  // namespace hostos

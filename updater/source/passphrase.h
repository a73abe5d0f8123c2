// The passphrase of an encrypted key, or the PIN of a token: asked for only when one is needed.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "updater/base/result.h"

namespace hostos {

// What an environment variable says; nothing when it is not set. From then on it is in this process
// alone: programs that it starts do not inherit it, and nobody reads it in /proc. Before the first
// thread.
std::optional<std::string> TakeVariable(const std::string& name);

// Gives the passphrase of `key`, which names it for people.
using AskPassphrase = std::function<Result<std::string>(const std::string& key)>;

// The same as OpenSSL's callback (pem_password_cb) with this for its argument. Asks once, however
// often OpenSSL does.
class PassphraseCallback {
 public:
  PassphraseCallback(std::string key, const AskPassphrase& ask) : key_(std::move(key)), ask_(ask) {}

  const Result<std::string>& Ask();
  static int Call(char* buffer, int size, int writing, void* self) noexcept;
  // Nothing when OpenSSL did not ask.
  const std::optional<Result<std::string>>& answer() const { return answer_; }

 private:
  std::string key_;
  const AskPassphrase& ask_;
  std::optional<Result<std::string>> answer_;
};

}  // namespace hostos

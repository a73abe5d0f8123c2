#include "images/publish/passphrase.h"

#include <openssl/crypto.h>

#include <cstdlib>
#include <cstring>
#include <map>

namespace hostos {

std::optional<std::string> TakeVariable(const std::string& name) {
  static std::map<std::string, std::string> taken;
  if (char* text = ::getenv(name.c_str())) {
    taken[name] = text;
    OPENSSL_cleanse(text, std::strlen(text));
    (void)::unsetenv(name.c_str());
  }
  const auto found = taken.find(name);
  return found == taken.end() ? std::nullopt : std::optional(found->second);
}

const Result<std::string>& PassphraseCallback::Ask() {
  if (!answer_ && ask_) answer_ = ask_(key_);
  if (!answer_) answer_ = Fail(Code::kUsage, "{}: expected a passphrase for it, found none", key_);
  return *answer_;
}

int PassphraseCallback::Call(char* buffer, int size, int, void* self) noexcept {
  auto& callback = *static_cast<PassphraseCallback*>(self);
  if (!callback.Ask()) return -1;
  const std::string& passphrase = **callback.answer_;
  if (std::cmp_greater(passphrase.size(), size)) {
    callback.answer_ = Fail(Code::kUsage, "{}: expected a passphrase of at most {} bytes, found {}",
                            callback.key_, size, passphrase.size());
    return -1;
  }
  std::memcpy(buffer, passphrase.data(), passphrase.size());
  return static_cast<int>(passphrase.size());
}

}  // namespace hostos

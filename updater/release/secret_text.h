// Finds secret keys where they must not be: in public files, in a root, in a page of documentation.
#pragma once

#include <string>
#include <string_view>

#include "updater/base/result.h"

namespace hostos {

// True if `text` contains a secret key: in its first line one in OSTree's form, anywhere a PEM
// block of any kind, or as the whole text one in DER, encrypted or not, or in PKCS#12. A program or
// a page that only mentions such blocks contains none.
bool HasSecretKey(std::string_view text);

// A file of at most 64 KiB. Refused when anybody but its owner has access to it.
Result<std::string> ReadSecretFile(const std::string& path);

// kUsage when `text`, given as a secret key, is a public one. `source` names it for people.
Result<> CheckNotPublic(std::string_view text, const std::string& source);

}  // namespace hostos

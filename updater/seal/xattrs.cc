#include "updater/seal/xattrs.h"

#include <string_view>

#include "updater/seal/erofs_format.h"

namespace hostos::erofs {
namespace {

// erofs stores a number for the namespace, then the rest of the name. The two ACL names are
// complete; every other prefix must be followed by something.
struct Prefix {
  std::string_view text;
  uint8_t index;
  bool whole;
};
constexpr Prefix kPrefixes[] = {
    {"user.", 1, false},
    {"system.posix_acl_access", 2, true},
    {"system.posix_acl_default", 3, true},
    {"trusted.", 4, false},
    {"security.", 6, false},
};

constexpr size_t kMaxName = 255;
constexpr size_t kMaxValue = 65535;
constexpr size_t kMaxBody = sizeof(XattrHeader) + 4 * (65535 - 1);

const Prefix* PrefixOf(std::string_view name) {
  for (const Prefix& prefix : kPrefixes)
    if (name.starts_with(prefix.text) && (name.size() == prefix.text.size()) == prefix.whole)
      return &prefix;
  return nullptr;
}

size_t EntrySize(const Prefix& prefix, const Xattr& xattr) {
  size_t size = sizeof(XattrEntry) + xattr.name.size() - prefix.text.size() + xattr.value.size();
  return (size + 3) / 4 * 4;
}

template <class T>
void Append(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

Result<size_t> XattrBodySize(const std::vector<Xattr>& xattrs) {
  if (xattrs.empty()) return 0;
  size_t size = sizeof(XattrHeader);
  std::string_view previous;
  for (const Xattr& xattr : xattrs) {
    if (xattr.name <= previous)
      return Fail(Code::kFailed, "xattrs are not sorted by name: \"{}\" comes after \"{}\"",
                  xattr.name, previous);
    previous = xattr.name;
    const Prefix* prefix = PrefixOf(xattr.name);
    if (!prefix || xattr.name.find('\0') != std::string::npos)
      return Fail(Code::kNotSupported,
                  "xattr \"{}\": expected a name in user., trusted. or security., or a POSIX ACL",
                  xattr.name);
    if (xattr.name.size() - prefix->text.size() > kMaxName || xattr.value.size() > kMaxValue)
      return Fail(
          Code::kNotSupported,
          "xattr \"{}\": expected at most {} bytes of name and {} of value, found {} and {}",
          xattr.name, kMaxName, kMaxValue, xattr.name.size() - prefix->text.size(),
          xattr.value.size());
    size += EntrySize(*prefix, xattr);
  }
  if (size > kMaxBody)
    return Fail(Code::kNotSupported, "expected at most {} bytes of xattrs, found {}", kMaxBody,
                size);
  return size;
}

std::string XattrBody(const std::vector<Xattr>& xattrs) {
  std::string body;
  if (xattrs.empty()) return body;
  Append(body, XattrHeader{});
  for (const Xattr& xattr : xattrs) {
    const Prefix& prefix = *PrefixOf(xattr.name);
    size_t end = body.size() + EntrySize(prefix, xattr);
    Append(body,
           XattrEntry{.name_size = static_cast<uint8_t>(xattr.name.size() - prefix.text.size()),
                      .prefix = prefix.index,
                      .value_size = static_cast<uint16_t>(xattr.value.size())});
    body.append(xattr.name, prefix.text.size());
    body += xattr.value;
    body.resize(end);
  }
  return body;
}

}  // namespace hostos::erofs

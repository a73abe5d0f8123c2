#include "images/image_values.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "images/arguments.h"
#include "images/disk.h"
#include "updater/base/release.h"
#include "updater/release/commit.h"
#include "updater/release/signature.h"

namespace hostos {

namespace fs = std::filesystem;

bool Consists(std::string_view text, std::string_view others) {
  constexpr std::string_view kAlphanumeric =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return kAlphanumeric.contains(c) || others.contains(c);
  });
}

std::string AName(const std::string& name) {
  return IsValidName(name) ? "" : kNameRule;
}

std::string ALine(const std::string& text) {
  const bool ok = std::ranges::none_of(
      text, [](char c) { return std::string_view("\"\\$`").contains(c) || (c >= 0 && c < ' '); });
  return ok && !text.empty() ? "" : "a text of one line without \" \\ $ `";
}

std::string ADate(const std::string& text) {
  const bool ok = text.size() == 10 && text[4] == '-' && text[7] == '-' && Consists(text, "-");
  return ok ? "" : "a date such as 2028-08-09";
}

// As Debian's policy has it.
std::string APackage(const std::string& name) {
  const bool ok =
      name.size() > 1 && Consists(name, "+-.") && !std::string_view("+-.").contains(name[0]);
  return ok ? "" : "the name of a Debian package";
}

// systemd.unit(5).
std::string AUnit(const std::string& name) {
  constexpr std::string_view kTypes[] = {".service", ".socket", ".timer",
                                         ".path",    ".target", ".mount"};
  const bool ok =
      name.size() < 256 && Consists(name, ":-_.\\@") &&
      std::ranges::any_of(
          kTypes, [&](auto type) { return name.ends_with(type) && name.size() > type.size(); });
  return ok ? "" : "the name of a unit, such as agent.service";
}

// One word of the kernel's command line. Quotes and spaces would make it several, or none.
std::string AnArgument(const std::string& text) {
  const bool ok = !text.empty() &&
                  std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~' && c != '"'; });
  return ok ? "" : "one argument, without spaces and quotes";
}

std::string AHostname(const std::string& name) {
  const bool ok = name.size() <= 64 && Consists(name, "-.") && name[0] != '-' && name[0] != '.';
  return ok ? "" : "a host name, of at most 64 of A-Z a-z 0-9 - .";
}

std::string ATimezone(const std::string& name) {
  return Consists(name, "/_+-") && name[0] != '/' ? "" : "a time zone such as Europe/Berlin";
}

std::string APasswordHash(const std::string& hash) {
  return hash.starts_with("$") && Consists(hash, "$./,=")
             ? ""
             : "a hash, as `openssl passwd -6` prints it";
}

std::string AnSshKey(const std::string& key) {
  const bool ok =
      (key.starts_with("ssh-") || key.starts_with("ecdsa-") || key.starts_with("sk-")) &&
      key.contains(' ') && std::ranges::all_of(key, [](char c) { return c < 0 || c >= ' '; });
  return ok ? "" : "the one line of a public key of SSH";
}

std::string ASize(const std::string& text) {
  return ParseSize(text) ? "" : "a size such as 512M or 2G";
}

std::string AFormat(const std::string& name) {
  return FormatNamed(name) ? "" : "raw or qcow2";
}

std::string APolicy(const std::string& name) {
  return PolicyNamed(name) ? "" : "classical, hybrid or pq";
}

std::string AnOwner(const std::string& text) {
  const size_t colon = text.find(':');
  uint32_t ids[2] = {};
  const std::string_view parts[] = {
      std::string_view(text).substr(0, colon),
      colon == text.npos ? "" : std::string_view(text).substr(colon + 1)};
  for (size_t i = 0; i < 2; i++) {
    const auto [rest, error] =
        std::from_chars(parts[i].data(), parts[i].data() + parts[i].size(), ids[i]);
    if (error != std::errc() || rest != parts[i].data() + parts[i].size())
      return "UID:GID, such as 0:0";
  }
  return "";
}

std::string AMode(const std::string& text) {
  const bool ok =
      (text.size() == 3 || text.size() == 4) && text.find_first_not_of("01234567") == text.npos;
  return ok ? "" : "a mode such as \"0644\"";
}

std::string InTheImage(const std::string& path) {
  return IsPathInImage(path) ? ""
                             : "the path of a file in the image, such as /etc/motd, and not in a "
                               "folder that belongs to the node";
}

bool IsPathInImage(std::string_view path) {
  constexpr std::string_view kOfTheNode[] = {"boot", "dev",  "efi", "home", "media", "mnt",
                                             "proc", "root", "run", "sys",  "tmp"};
  const fs::path parsed(path);
  if (!path.starts_with('/') || parsed.lexically_normal() != parsed) return false;
  const auto first = std::next(parsed.begin());
  return first == parsed.end() || !std::ranges::contains(kOfTheNode, first->string());
}

}  // namespace hostos

// What the values of image.toml may be. Each function returns "" for a good one, else what it must
// be.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hostos {

std::string Anything(const auto&) {
  return "";
}

// Only ASCII letters, digits and these; not empty.
bool Consists(std::string_view text, std::string_view others);

// Whether `path` is in the image, and not in a folder that is filled on the node.
bool IsPathInImage(std::string_view path);

std::string AName(const std::string& name);
std::string ALine(const std::string& text);
std::string ADate(const std::string& text);
std::string APackage(const std::string& name);
std::string AUnit(const std::string& name);
std::string AnArgument(const std::string& text);
std::string AHostname(const std::string& name);
std::string ATimezone(const std::string& name);
std::string APasswordHash(const std::string& hash);
std::string AnSshKey(const std::string& key);
std::string ASize(const std::string& text);
std::string AFormat(const std::string& name);
std::string APolicy(const std::string& name);
std::string AnOwner(const std::string& text);
std::string AMode(const std::string& text);
std::string InTheImage(const std::string& path);

// The same for each of a list.
auto Each(auto check) {
  return [check](const std::vector<std::string>& values) -> std::string {
    for (const std::string& value : values)
      if (std::string expected = check(value); !expected.empty()) return "a list, each " + expected;
    return "";
  };
}

}  // namespace hostos

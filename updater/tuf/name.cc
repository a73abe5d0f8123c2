#include "updater/tuf/name.h"

#include <algorithm>
#include <format>
#include <ranges>

namespace hostos::tuf {
namespace {

constexpr std::string_view kUnreserved =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

std::string Encode(std::string_view text, std::string_view also_kept) {
  std::string encoded;
  for (char c : text) {
    if (kUnreserved.contains(c) || also_kept.contains(c)) {
      encoded += c;
    } else {
      encoded += std::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

}  // namespace

std::string EncodeName(std::string_view name) {
  return Encode(name, "");
}

std::string EncodePath(std::string_view path) {
  return Encode(path, "/");
}

bool StaysBelow(std::string_view path) {
  return std::ranges::none_of(path | std::views::split('/'),
                              [](const auto& part) {
                                const std::string_view name(part);
                                return name.empty() || name == "." || name == "..";
                              }) &&
         !path.empty();
}

}  // namespace hostos::tuf

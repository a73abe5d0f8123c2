#include "updater/base/mask.h"

namespace hostos {
namespace {

constexpr std::string_view kScheme = "://", kSpace = " \t\r\n", kMask = "***";

}  // namespace

std::string Masked(std::string_view text) {
  std::string masked;
  for (size_t at; (at = text.find(kScheme)) != text.npos;) {
    at += kScheme.size();
    masked += text.substr(0, at);
    text.remove_prefix(at);
    std::string_view url = text.substr(0, text.find_first_of(kSpace));
    const size_t query = url.find('?');
    if (const size_t another = url.find(kScheme); another < query) url = url.substr(0, another);
    const std::string_view authority = url.substr(0, url.find_first_of("/?#"));
    const size_t host = authority.rfind('@');
    if (host != authority.npos) masked += kMask;
    const size_t begin = host == authority.npos ? 0 : host;
    masked += url.substr(begin, query - begin);
    if (query < url.size()) {
      masked += '?';
      masked += kMask;
    }
    text.remove_prefix(url.size());
  }
  masked += text;
  return masked;
}

}  // namespace hostos

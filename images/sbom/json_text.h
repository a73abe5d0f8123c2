// How both documents are written.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace hostos {

// In ASCII, so that text from others cannot control a terminal. What comes from files may be no
// UTF-8.
inline std::string JsonText(const nlohmann::ordered_json& document) {
  using Handler = nlohmann::ordered_json::error_handler_t;
  return document.dump(1, ' ', /*ensure_ascii=*/true, Handler::replace) + "\n";
}

}  // namespace hostos

// Small files that a test writes and reads as a whole.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace hostos {

// Also creates the directories above it.
inline void WriteText(const std::string& path, std::string_view text, mode_t mode = 0644) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file || ::chmod(path.c_str(), mode) < 0) throw std::runtime_error("write " + path);
}

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace hostos

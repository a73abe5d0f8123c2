// Small files that a test writes, reads as a whole, damages and finds.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

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

inline bool SameFiles(const std::string& a, const std::string& b) {
  return ReadText(a) == ReadText(b);
}

// Adds one to the byte at `offset`; one from the end of the file when negative.
inline void ChangeByte(const std::string& path, long offset) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(offset, offset < 0 ? std::ios::end : std::ios::beg);
  const auto position = file.tellg();
  const char byte = static_cast<char>(file.get() + 1);
  file.seekp(position);
  file.put(byte);
  file.close();
  if (!file) throw std::runtime_error("change " + path);
}

// The files below a directory, recursively, whose names end so, sorted.
inline std::vector<std::string> FilesEndingIn(const std::string& directory,
                                              std::string_view suffix) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    if (entry.is_regular_file() && entry.path().string().ends_with(suffix))
      files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

}  // namespace hostos

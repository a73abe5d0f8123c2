// Damage that can happen to a file or directory of the state.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "updater/base/atomic_file.h"

namespace hostos {

struct Damage {
  const char* what;
  std::function<void(const std::string& path)> happen;
};

inline const std::vector<Damage> kDamages = {
    {"gone", [](const std::string& path) { std::filesystem::remove_all(path); }},
    {"empty",
     [](const std::string& path) {
       std::filesystem::remove_all(path);
       (void)WriteFileAtomically(path, "");
     }},
    {"other bytes",
     [](const std::string& path) {
       std::filesystem::remove_all(path);
       (void)WriteFileAtomically(path, std::string(100, '\0') + "\xff{");
     }},
    {"a directory that is not empty",
     [](const std::string& path) {
       std::filesystem::remove_all(path);
       (void)MakeDirectories(path + "/inside");
     }},
};

}  // namespace hostos

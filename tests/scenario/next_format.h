// Turns the files below /var/lib/hostos into what a later version might write: higher formats,
// unknown fields and values, more text after the known text, more files. Keeps what every version
// reads (docs/state-record.md).
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {

inline nlohmann::json AsNextFormat(nlohmann::json document) {
  document["format"] = 2;
  document["of_a_later_version"] = {{"list", {1, 2.5, "three"}}, {"flag", nullptr}};
  return document;
}

inline nlohmann::json RecordAsNextFormat(nlohmann::json record) {
  record = AsNextFormat(std::move(record));
  record["checked"] = {{"at", 7}, {"by", "a later version"}};  // another type
  for (nlohmann::json& denied : record["denied"]) {
    denied["reason"] = {{"text", denied["reason"]}, {"check", "canary"}};
    denied["until"] = "for ever";
    denied["release"]["product"] = "hostos";
    denied.erase("boots");
  }
  for (nlohmann::json& entry : record["history"]) entry["by"] = "gate";
  record["history"].push_back({{"outcome", "postponed"}, {"time", 8}, {"release", "1.9"}});
  if (record.contains("update")) record["update"]["phase"] = "staged-twice";
  record["selftest"] = {{"state", "postponed"}, {"version", "1.9"}};
  return record;
}

// Changes every file below `state`, and adds others.
inline void WriteNextFormat(const std::string& state) {
  namespace fs = std::filesystem;
  const auto change = [](const std::string& file, const auto& how) {
    if (!fs::exists(file)) return;
    nlohmann::json document = nlohmann::json::parse(ReadFile(file).value(), nullptr, false);
    (void)WriteFileAtomically(file, how(std::move(document)).dump());
  };
  const auto append = [](const std::string& file, const std::string& text) {
    if (fs::exists(file)) (void)WriteFileAtomically(file, ReadFile(file).value() + text);
  };
  change(state + "/record.json", RecordAsNextFormat);
  for (const char* file : {"/verified-a.json", "/verified-b.json"})
    change(state + file, AsNextFormat);
  if (fs::exists(state + "/failures"))
    for (const fs::directory_entry& file : fs::directory_iterator(state + "/failures"))
      if (file.path().extension() == ".json") change(file.path(), AsNextFormat);
  for (const char* file : {"/floor.0", "/floor.1"}) append(state + file, "counter 3\n");
  append(state + "/lock", "\nboot 7");
  append(state + "/etc/next-from", "copied later\n");
  for (const char* directory : {"", "/commits", "/failures", "/etc", "/tuf"}) {
    (void)MakeDirectories(state + directory + "/later");
    (void)WriteFileAtomically(state + directory + "/later.bin", "\xff later");
  }
}

}  // namespace hostos

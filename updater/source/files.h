// The files of an archive repository, wherever it is served: over HTTP, in a directory, or in a
// bundle. The caller verifies what they say.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/result.h"
#include "updater/source/http.h"
#include "updater/tuf/client.h"

namespace hostos {

// True for a path on this machine, false for http:// and https://.
bool IsLocal(const std::string& url);
// The URL without slashes at its end.
std::string WithoutSlash(std::string url);

Result<std::unique_ptr<tuf::Fetcher>> OpenFiles(const std::string& url, const HttpOptions& http);

// A folder beside the repository's objects: "metadata/", "targets/".
class Folder : public tuf::Fetcher {
 public:
  Folder(tuf::Fetcher& files, std::string name) : files_(files), name_(std::move(name)) {}
  Result<std::string> Fetch(const std::string& path, size_t cap) override {
    return files_.Fetch(name_ + path, cap);
  }
  void Accepted(const std::string& path, const std::string& bytes) override {
    files_.Accepted(name_ + path, bytes);
  }

 private:
  tuf::Fetcher& files_;
  std::string name_;
};

// Collects the files of a repository that were found and accepted, which means signed as required.
struct NotedFile {
  std::string name;  // in the repository: "metadata/2.root.json"
  std::string bytes;
};

class NotedFiles : public tuf::Fetcher {
 public:
  NotedFiles(tuf::Fetcher& files, std::vector<NotedFile>& found) : files_(files), found_(found) {}
  Result<std::string> Fetch(const std::string& path, size_t cap) override {
    return files_.Fetch(path, cap);
  }
  void Accepted(const std::string& path, const std::string& bytes) override {
    found_.push_back({path, bytes});
  }

 private:
  tuf::Fetcher& files_;
  std::vector<NotedFile>& found_;
};

// A commit object, whose SHA-256 is its checksum, and its serialized detached metadata, which is
// empty when the commit has none.
struct CommitFiles {
  std::string name, bytes, signatures;  // the signatures are in name + "meta"
};
Result<CommitFiles> FetchCommit(tuf::Fetcher& files, const Digest& checksum);

}  // namespace hostos

// One OSTree repository: the archive that releases are published in, or a node's staging
// repository, whose parent is the object store inside the running root. The only user of libostree.
//
// Promises: a commit, its signatures and its refs appear in one transaction. A pull fetches no
// object that is whole in the repository, in its parent, or in what an interrupted pull left, even
// one of another boot.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/digest.h"
#include "updater/base/progress.h"
#include "updater/base/result.h"
#include "updater/base/tree.h"
#include "updater/release/commit.h"
#include "updater/source/archive.h"
#include "updater/source/http.h"
#include "updater/source/source.h"

typedef struct OstreeRepo OstreeRepo;

namespace hostos {

inline constexpr size_t kMaxContentBytes = 64 << 20;

class Repo {
 public:
  // What was written becomes visible with Commit(), all or nothing.
  class Transaction {
   public:
    static Result<Transaction> Begin(const Repo& repo);
    Transaction(Transaction&& other) noexcept = default;
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    Result<> WriteMetadata(ObjectType type, const Digest& checksum, std::string_view bytes);
    // Reads `content` from its present offset; a link has none.
    Result<> WriteFile(const FileObject& file, int content);
    // Writes a content object as its checksum covers it: what ReadContent() returned, or that many
    // bytes of a file.
    Result<> WriteContent(const Digest& checksum, std::string_view bytes);
    Result<> WriteContent(const Digest& checksum, int file, uint64_t size);
    void SetRef(const std::string& ref, const Digest& commit);
    void RemoveRef(const std::string& ref);
    Result<> Commit();

   private:
    explicit Transaction(std::shared_ptr<OstreeRepo> repo) : repo_(std::move(repo)) {}
    std::shared_ptr<OstreeRepo> repo_;  // empty after Commit()
  };

  // Opens an existing repository of either mode.
  static Result<Repo> Open(const std::string& path);
  // The archive repository at `path`. Creates it and its directories if necessary.
  static Result<Repo> CreateArchive(const std::string& path);
  // The staging repository at `path`, of mode bare-user, so that any user can stage files of any
  // owner. Creates or repairs it and its configuration as needed. An empty `parent` or `proxy`
  // means none.
  static Result<Repo> OpenStaging(const std::string& path, const std::string& parent,
                                  const std::string& proxy);

  // Writing ---------------------------------------------------------------------------------------

  // Replaces the commit's detached metadata, to add a signature later.
  Result<> WriteDetachedMetadata(const Digest& commit, std::string_view detached);

  // Reading ---------------------------------------------------------------------------------------

  // kNotFound when there is no such ref.
  Result<Digest> ResolveRef(const std::string& ref) const;
  // The bytes of a commit, dirtree or dirmeta object, compared with the checksum; kNotFound when it
  // is not here.
  Result<std::string> ReadMetadata(ObjectType type, const Digest& checksum) const;
  Result<Commit> ReadCommit(const Digest& checksum) const;
  // Serialized detached metadata; empty when the commit has none.
  Result<std::string> ReadDetachedMetadata(const Digest& commit) const;
  // Owner, mode, xattrs, size or target of a content object.
  Result<FileObject> ReadFileHeader(const Digest& checksum) const;
  // A seekable descriptor at the start of a regular file's content: in a bare repository the object
  // itself, from an archive a copy, unpacked into an unnamed temporary file.
  Result<UniqueFd> OpenContent(const Digest& checksum) const;
  // A content object of at most `cap` bytes, as its checksum covers it: header, then content.
  Result<std::string> ReadContent(const Digest& checksum, uint64_t cap = kMaxContentBytes) const;
  // The size of an object as the repository stores it.
  Result<uint64_t> StoredSize(ObjectType type, const Digest& checksum) const;
  // Here or in the parent.
  Result<bool> Has(ObjectType type, const Digest& checksum) const;

  // Staging ---------------------------------------------------------------------------------------

  // What a pull of this verified commit would move. Changes nothing. The objects of an interrupted
  // pull count as present.
  Result<FetchPlan> Plan(const Commit& commit) const;
  // Makes room for the release, and says what of it is missing.
  Result<FetchPlan> Prepare(const Commit& commit);
  // Takes objects that the verified commit lacks from a bare repository that may be damaged
  // anywhere, each only if it has its checksum. A pull fetches the rest. An error means that
  // nothing could be taken.
  Result<> Salvage(const std::string& from, const Commit& commit, Progress& progress);
  // Stores the verified commit, then pulls what its tree lacks from the archive repository at
  // `url`. The commit's signed sizes bound the bytes over the wire and on the disk. An archive
  // keeps its other commits, and gets files as they are stored at `url`: the caller has to check
  // them.
  Result<FetchStats> Pull(const std::string& url, const SignedCommit& commit,
                          const HttpOptions& http, Progress& progress);

  // The same, one object after the other. kNotFound names a missing object.
  Result<FetchStats> Copy(ObjectFiles& from, const SignedCommit& commit, Progress& progress);

  const std::string& path() const { return path_; }

 private:
  Repo(std::string path, std::shared_ptr<OstreeRepo> repo)
      : path_(std::move(path)), repo_(std::move(repo)) {}

  // Stores the commit object so that libostree still completes its tree.
  Result<> StoreCommit(const SignedCommit& commit);
  // Every object of the commit is here.
  Result<> MarkComplete(const Digest& commit);

  std::string path_;
  std::shared_ptr<OstreeRepo> repo_;
};

}  // namespace hostos

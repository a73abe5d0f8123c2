// Ownership for GLib's C types: GRef<T> holds one reference and releases it. Adopt takes over a
// reference that the caller owns (transfer full), Retain takes a new one (transfer none). Raw
// OSTree objects pass through the interfaces as bytes; GVariant stays inside the .cc files that use
// it.
#pragma once

#include <glib-object.h>

#include <string>
#include <string_view>
#include <utility>

namespace hostos {

template <class T>
struct GRefTraits {
  static T* Ref(T* object) { return static_cast<T*>(g_object_ref(object)); }
  static void Unref(T* object) { g_object_unref(object); }
};

template <>
struct GRefTraits<GVariant> {
  static GVariant* Ref(GVariant* variant) { return g_variant_ref_sink(variant); }
  static void Unref(GVariant* variant) { g_variant_unref(variant); }
};

template <class T>
class GRef {
 public:
  GRef() = default;
  static GRef Adopt(T* object) { return GRef(object); }
  // For a GVariant this also sinks a floating reference.
  static GRef Retain(T* object) { return GRef(object ? GRefTraits<T>::Ref(object) : nullptr); }
  GRef(const GRef& other) : GRef(Retain(other.object_)) {}
  GRef(GRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  GRef& operator=(GRef other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~GRef() {
    if (object_) GRefTraits<T>::Unref(object_);
  }

  T* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // For the out parameter of a C function that hands over a reference.
  T** Out() {
    *this = GRef();
    return &object_;
  }

 private:
  explicit GRef(T* object) : object_(object) {}
  T* object_ = nullptr;
};

using VariantRef = GRef<GVariant>;

// A copy of `bytes` as a variant of `type`, not yet checked for normal form.
inline VariantRef VariantFromBytes(const char* type, std::string_view bytes) {
  GBytes* copy = g_bytes_new(bytes.data(), bytes.size());
  auto variant = VariantRef::Retain(g_variant_new_from_bytes(G_VARIANT_TYPE(type), copy, FALSE));
  g_bytes_unref(copy);
  return variant;
}

// The serialized form. The view lives as long as the variant.
inline std::string_view VariantBytes(GVariant* variant) {
  return {static_cast<const char*>(g_variant_get_data(variant)), g_variant_get_size(variant)};
}

// The bytes of a variant of type "ay", without a copy.
inline std::string_view VariantArray(GVariant* variant) {
  gsize size = 0;
  const auto* data = static_cast<const char*>(g_variant_get_fixed_array(variant, &size, 1));
  return {data, size};
}

inline GVariant* NewByteArray(std::string_view bytes) {
  return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes.data(), bytes.size(), 1);
}

}  // namespace hostos

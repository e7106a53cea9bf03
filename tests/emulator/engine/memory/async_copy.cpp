// cp.async: every copy lands when its thread waits for its group, not before.
#include "emulator/async_copy.h"

#include "block.h"

namespace emulator {

namespace {

// Byte by byte and volatile, so that the sanitizers see the accesses as those of the thread that started the copy.
void write(unsigned char* to, const unsigned char* from, unsigned valid, unsigned bytes) {
    volatile unsigned char* target = to;
    for (unsigned at = 0; at < bytes; ++at) {
        target[at] = at < valid ? from[at] : 0;
    }
}

void poison(unsigned char* to, unsigned bytes) {
    volatile unsigned char* target = to;
    for (unsigned at = 0; at < bytes; ++at) {
        target[at] = 0xff;
    }
}

}  // namespace

void copy_async(void* shared, const void* global, unsigned bytes, unsigned valid) {
    require_shared(shared, bytes, bytes, "cp.async");
    if (reinterpret_cast<size_t>(global) % bytes != 0) {
        fail("cp.async: the global address is not aligned to %u bytes", bytes);
    }
    if (valid > bytes) {
        fail("cp.async: %u valid bytes of %u", valid, bytes);
    }
    Copy copy = {static_cast<unsigned char*>(shared), static_cast<const unsigned char*>(global), bytes, valid};
    poison(copy.to, bytes);
    running().copies.push_back(copy);
}

void copy_async_commit() { running().group_ends.push_back(running().copies.size()); }

void copy_async_wait(unsigned pending) {
    Fiber& fiber = running();
    if (fiber.group_ends.size() <= pending) {
        return;
    }
    size_t groups = fiber.group_ends.size() - pending, landed = fiber.group_ends[groups - 1];
    for (size_t at = 0; at < landed; ++at) {
        write(fiber.copies[at].to, fiber.copies[at].from, fiber.copies[at].valid, fiber.copies[at].bytes);
    }
    fiber.copies.erase(fiber.copies.begin(), fiber.copies.begin() + static_cast<std::ptrdiff_t>(landed));
    fiber.group_ends.erase(fiber.group_ends.begin(), fiber.group_ends.begin() + static_cast<std::ptrdiff_t>(groups));
    for (size_t& end : fiber.group_ends) {
        end -= landed;
    }
}

}  // namespace emulator

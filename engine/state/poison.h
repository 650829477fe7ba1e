/* engine/state/poison.h: tells the address sanitizer which bytes of an arena are given out.
 *
 * The sanitizer knows malloc, not us. With these two calls a read of a freed segment or blob fails
 * a test as it would with malloc. Without the sanitizer they are nothing. jemalloc itself is not
 * instrumented and may touch what is poisoned.
 */
#ifndef ENG_STATE_POISON_H
#define ENG_STATE_POISON_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ENG_POISON 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ENG_POISON 1
#endif

#ifdef ENG_POISON
#include <sanitizer/asan_interface.h>
static inline void eng_poison_given(void *bytes, size_t size_bytes)
{
    __asan_unpoison_memory_region(bytes, size_bytes);
}
static inline void eng_poison_taken(void *bytes, size_t size_bytes)
{
    __asan_poison_memory_region(bytes, size_bytes);
}
#else
static inline void eng_poison_given(void *bytes, size_t size_bytes)
{
    (void)bytes, (void)size_bytes;
}
static inline void eng_poison_taken(void *bytes, size_t size_bytes)
{
    (void)bytes, (void)size_bytes;
}
#endif

#endif

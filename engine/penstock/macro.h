/* penstock/macro.h: the preprocessor machinery behind the other headers, kept out of their way.
 *
 * Nothing here is for users. There are three tricks and no more: the first or the remaining macro
 * arguments, something repeated for each argument, and a check of a function's or a pointer's type.
 * After expansion a public macro is one function call with one literal, so a debugger that steps
 * into `pen_map(...)` steps into `pen_add_map(stream, &spec)`; pen_emit alone has a short way
 * around its call. No function is ever called through a pointer of another type.
 */
#ifndef PENSTOCK_MACRO_H
#define PENSTOCK_MACRO_H

#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
#include <initializer_list>
#include <type_traits>
#endif

/* PEN_FIRST_(a, b, c,) is a; PEN_REST_(a, b, c,) is "b, c,". The last comma is part of the call. */
#define PEN_FIRST_(a, ...)  a
#define PEN_REST_(a, ...)   __VA_ARGS__
#define PEN_PASTE_(a, b)    PEN_PASTE_2_(a, b)
#define PEN_PASTE_2_(a, b)  a##b
#define PEN_SCHEMA_OF_(tag) PEN_PASTE_(tag, _schema)

#if defined(__GNUC__)
#define PEN_UNUSED_            __attribute__((unused))
#define PEN_EXPORT             __attribute__((visibility("default")))
#define PEN_PRINTF_(text, arg) __attribute__((format(printf, text, arg)))
#define PEN_LIKELY_(condition) __builtin_expect(!!(condition), 1)
#define PEN_API_BEGIN_         _Pragma("GCC visibility push(default)")
#define PEN_API_END_           _Pragma("GCC visibility pop")
#else
#define PEN_LIKELY_(condition) (condition)
#define PEN_API_BEGIN_
#define PEN_API_END_
#define PEN_UNUSED_
#define PEN_EXPORT
#define PEN_PRINTF_(text, arg)
#endif

/* An array that lives as long as the call it is written in, ended by `end`. */
/* clang-format off */
#ifdef __cplusplus
#define PEN_ARRAY_(type, end, ...) pen_cxx_array<type>({__VA_ARGS__, end})
#define PEN_LITERAL_(tag, ...) tag{__VA_ARGS__}
#define PEN_REF_(tag, ...)     pen_cxx_ref(tag{__VA_ARGS__})
#define PEN_SIGNATURE_(fn, result, args)                                                           \
    static_assert(std::is_same_v<decltype(&fn), result (*) args>,                                  \
                  "it must be: " #result " " #fn #args)
#define PEN_POINTER_TO_(tag, pointer) (true ? (pointer) : static_cast<const struct tag *>(nullptr))
template <class T> const T *pen_cxx_array(std::initializer_list<T> list)
{
    return list.begin();
}
template <class T> const T *pen_cxx_ref(const T &literal)
{
    return &literal;
}
#else
#define PEN_ARRAY_(type, end, ...) ((type const[]){__VA_ARGS__, end})
#define PEN_LITERAL_(tag, ...) (struct tag){__VA_ARGS__}
#define PEN_REF_(tag, ...)     (&(struct tag){__VA_ARGS__})
/* Refuses to compile a function of another type, and says what it should look like. */
#define PEN_SIGNATURE_(fn, result, args)                                                           \
    _Static_assert(_Generic(&fn, result (*) args : 1, default : 0),                                \
                   "it must be: " #result " " #fn #args)
#define PEN_POINTER_TO_(tag, pointer)                                                              \
    _Generic((pointer), struct tag * : (pointer), const struct tag * : (pointer))
#endif
/* clang-format on */

/* m(t, a) for each argument a, 40 at most. */
#define PEN_FOR_EACH_(m, t, ...) PEN_PASTE_(PEN_EACH_, PEN_COUNT_(__VA_ARGS__))(m, t, __VA_ARGS__)
#define PEN_COUNT_(...)                                                                            \
    PEN_NTH_(__VA_ARGS__, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23,  \
             22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define PEN_NTH_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18,  \
                 a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34,   \
                 a35, a36, a37, a38, a39, a40, n, ...)                                             \
    n
#define PEN_EACH_1(m, t, a)       m(t, a)
#define PEN_EACH_2(m, t, a, ...)  m(t, a) PEN_EACH_1(m, t, __VA_ARGS__)
#define PEN_EACH_3(m, t, a, ...)  m(t, a) PEN_EACH_2(m, t, __VA_ARGS__)
#define PEN_EACH_4(m, t, a, ...)  m(t, a) PEN_EACH_3(m, t, __VA_ARGS__)
#define PEN_EACH_5(m, t, a, ...)  m(t, a) PEN_EACH_4(m, t, __VA_ARGS__)
#define PEN_EACH_6(m, t, a, ...)  m(t, a) PEN_EACH_5(m, t, __VA_ARGS__)
#define PEN_EACH_7(m, t, a, ...)  m(t, a) PEN_EACH_6(m, t, __VA_ARGS__)
#define PEN_EACH_8(m, t, a, ...)  m(t, a) PEN_EACH_7(m, t, __VA_ARGS__)
#define PEN_EACH_9(m, t, a, ...)  m(t, a) PEN_EACH_8(m, t, __VA_ARGS__)
#define PEN_EACH_10(m, t, a, ...) m(t, a) PEN_EACH_9(m, t, __VA_ARGS__)
#define PEN_EACH_11(m, t, a, ...) m(t, a) PEN_EACH_10(m, t, __VA_ARGS__)
#define PEN_EACH_12(m, t, a, ...) m(t, a) PEN_EACH_11(m, t, __VA_ARGS__)
#define PEN_EACH_13(m, t, a, ...) m(t, a) PEN_EACH_12(m, t, __VA_ARGS__)
#define PEN_EACH_14(m, t, a, ...) m(t, a) PEN_EACH_13(m, t, __VA_ARGS__)
#define PEN_EACH_15(m, t, a, ...) m(t, a) PEN_EACH_14(m, t, __VA_ARGS__)
#define PEN_EACH_16(m, t, a, ...) m(t, a) PEN_EACH_15(m, t, __VA_ARGS__)
#define PEN_EACH_17(m, t, a, ...) m(t, a) PEN_EACH_16(m, t, __VA_ARGS__)
#define PEN_EACH_18(m, t, a, ...) m(t, a) PEN_EACH_17(m, t, __VA_ARGS__)
#define PEN_EACH_19(m, t, a, ...) m(t, a) PEN_EACH_18(m, t, __VA_ARGS__)
#define PEN_EACH_20(m, t, a, ...) m(t, a) PEN_EACH_19(m, t, __VA_ARGS__)
#define PEN_EACH_21(m, t, a, ...) m(t, a) PEN_EACH_20(m, t, __VA_ARGS__)
#define PEN_EACH_22(m, t, a, ...) m(t, a) PEN_EACH_21(m, t, __VA_ARGS__)
#define PEN_EACH_23(m, t, a, ...) m(t, a) PEN_EACH_22(m, t, __VA_ARGS__)
#define PEN_EACH_24(m, t, a, ...) m(t, a) PEN_EACH_23(m, t, __VA_ARGS__)
#define PEN_EACH_25(m, t, a, ...) m(t, a) PEN_EACH_24(m, t, __VA_ARGS__)
#define PEN_EACH_26(m, t, a, ...) m(t, a) PEN_EACH_25(m, t, __VA_ARGS__)
#define PEN_EACH_27(m, t, a, ...) m(t, a) PEN_EACH_26(m, t, __VA_ARGS__)
#define PEN_EACH_28(m, t, a, ...) m(t, a) PEN_EACH_27(m, t, __VA_ARGS__)
#define PEN_EACH_29(m, t, a, ...) m(t, a) PEN_EACH_28(m, t, __VA_ARGS__)
#define PEN_EACH_30(m, t, a, ...) m(t, a) PEN_EACH_29(m, t, __VA_ARGS__)
#define PEN_EACH_31(m, t, a, ...) m(t, a) PEN_EACH_30(m, t, __VA_ARGS__)
#define PEN_EACH_32(m, t, a, ...) m(t, a) PEN_EACH_31(m, t, __VA_ARGS__)
#define PEN_EACH_33(m, t, a, ...) m(t, a) PEN_EACH_32(m, t, __VA_ARGS__)
#define PEN_EACH_34(m, t, a, ...) m(t, a) PEN_EACH_33(m, t, __VA_ARGS__)
#define PEN_EACH_35(m, t, a, ...) m(t, a) PEN_EACH_34(m, t, __VA_ARGS__)
#define PEN_EACH_36(m, t, a, ...) m(t, a) PEN_EACH_35(m, t, __VA_ARGS__)
#define PEN_EACH_37(m, t, a, ...) m(t, a) PEN_EACH_36(m, t, __VA_ARGS__)
#define PEN_EACH_38(m, t, a, ...) m(t, a) PEN_EACH_37(m, t, __VA_ARGS__)
#define PEN_EACH_39(m, t, a, ...) m(t, a) PEN_EACH_38(m, t, __VA_ARGS__)
#define PEN_EACH_40(m, t, a, ...) m(t, a) PEN_EACH_39(m, t, __VA_ARGS__)

#endif

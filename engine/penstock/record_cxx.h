/* penstock/record_cxx.h: what record.h does with _Generic, for C++20. Included by record.h.
 *
 * The macros, the structs and the functions are the same. Two differences: named options must come
 * in the order of the struct's members, and what returns `const void *` in C needs a static_cast.
 */
#ifndef PENSTOCK_RECORD_CXX_H
#define PENSTOCK_RECORD_CXX_H

#define PEN_ALIGN_(type) alignof(type)
#define PEN_CHECK_FIELD_(tag, field)
#define PEN_TYPE_OF_(tag, field) pen_cxx_type_of<decltype(tag::field)>()

template <class Field> constexpr uint32_t pen_cxx_type_of()
{
    using T = std::remove_all_extents_t<Field>;
    constexpr bool array = std::is_array_v<Field>;
    constexpr uint32_t size = sizeof(T);

    if constexpr (std::is_same_v<T, bool>)
        return PEN_TYPE_BOOL;
    else if constexpr (std::is_same_v<T, char>)
        return array ? PEN_TYPE_CHARS : PEN_TYPE_INT8;
    else if constexpr (std::is_same_v<T, float>)
        return PEN_TYPE_FLOAT;
    else if constexpr (std::is_same_v<T, double>)
        return PEN_TYPE_DOUBLE;
    else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>)
        return (std::is_signed_v<T> ? PEN_TYPE_INT8 : PEN_TYPE_UINT8) + (size == 1   ? 0u
                                                                         : size == 2 ? 1u
                                                                         : size == 4 ? 2u
                                                                                     : 3u);
    else if constexpr (std::is_same_v<T, pen_time>)
        return PEN_TYPE_TIME;
    else if constexpr (std::is_same_v<T, pen_date>)
        return PEN_TYPE_DATE;
    else if constexpr (std::is_same_v<T, pen_code>)
        return PEN_TYPE_CODE;
    else if constexpr (std::is_same_v<T, pen_string>)
        return PEN_TYPE_STRING;
    else if constexpr (std::is_same_v<T, pen_bytes>)
        return PEN_TYPE_BYTES;
    else if constexpr (requires(T optional) { optional.present; })
        return PEN_TYPE_NULLABLE + pen_cxx_type_of<decltype(T::value)>();
    else
        static_assert(sizeof(T) == 0, "not a type that a record can hold");
}

inline pen_view pen_view_of(const pen_string *string)
{
    return pen_view_of_string(string);
}
inline pen_view pen_view_of(const pen_bytes *bytes)
{
    return pen_view_of_bytes(bytes);
}
inline pen_view pen_view_of(const pen_code *code)
{
    return pen_view_of_code(code);
}
inline pen_view pen_view_of(pen_view view)
{
    return view;
}
inline pen_view pen_view_of(const char *text)
{
    return pen_view_from(text);
}

#endif

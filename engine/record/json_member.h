/* engine/record/json_member.h: the tree of members that json.c makes and json_decode.c reads. */
#ifndef ENG_RECORD_JSON_MEMBER_H
#define ENG_RECORD_JSON_MEMBER_H

#include "engine/record/json.h"
#include "shm/hash.h"

#define ENG_JSON_OBJECT UINT32_MAX

/* A field, or an object that holds some. Number 0 is the record; a parent is before its members. */
struct eng_json_member {
    const char *name; /* its own part of the path, in the schema's text */
    uint32_t name_bytes;
    uint32_t parent;
    uint32_t end;        /* the first member behind all that this one holds */
    uint32_t field;      /* index, or ENG_JSON_OBJECT */
    uint32_t key_offset; /* "name": as it is written, in eng_json.keys */
    uint32_t key_bytes;
    bool optional; /* all fields of it can be null */
};

static inline uint64_t eng_json_hash(uint32_t parent, const void *name, size_t name_bytes)
{
    return shm_hash(name, name_bytes) + parent * 0x9e3779b97f4a7c15u;
}

/* The member of that name, or 0. */
static inline uint32_t eng_json_find(const struct eng_json *json, uint32_t parent, const void *name,
                                     size_t name_bytes)
{
    uint64_t at = eng_json_hash(parent, name, name_bytes);
    uint32_t found;

    for (; (found = json->table[at & json->table_mask]) != 0; at++) {
        const struct eng_json_member *member = &json->members[found];

        if (member->parent == parent && member->name_bytes == name_bytes &&
            memcmp(member->name, name, name_bytes) == 0)
            return found;
    }
    return 0;
}

#endif

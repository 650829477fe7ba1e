/* engine/record/json: objects into records and back.
 * Method: cases for each type and each mistake; random records encoded and decoded; and, where
 * there is a python3, its json module reads what we write and writes what we read. */
#include "engine/record/json.h"

#include <errno.h>
#include <unistd.h>

#include "engine/record/utf8.h"
#include "tests/record_random.h"

struct thing {
    bool flag;
    int8_t small;
    int64_t large;
    uint64_t huge;
    float real;
    double number;
    pen_time at;
    pen_date day;
    pen_code code;
    pen_string text;
    pen_bytes bytes;
    char chars[4];
    int32_t list[3];
};
PEN_RECORD(thing, flag, small, large, huge, real, number, at, day, code, text, bytes, chars, list);

/* Paths cannot be written in C: such schemas are made at run time. */
static struct pen_field person_fields[] = {
    {"id", 0, 8, PEN_TYPE_INT64, 0, 0, 0},
    {"person.name", 8, 12, PEN_TYPE_NULLABLE + PEN_TYPE_STRING, 0, 0, 0},
    {"person.home.city", 20, 12, PEN_TYPE_NULLABLE + PEN_TYPE_STRING, 0, 0, 0},
    {"age", 32, 8, PEN_TYPE_NULLABLE + PEN_TYPE_INT32, 0, 0, 0},
    {"person.home.zip", 40, 8, PEN_TYPE_NULLABLE + PEN_TYPE_INT32, 0, 0, 0},
};
static struct pen_schema person_schema = {
    PEN_ABI, 48, 8, 5, "person", person_fields, sizeof(struct pen_field), 0};

static struct eng_layout layout;
static struct eng_json json;
static struct eng_builder builder;
static struct eng_reason reason;
static struct eng_text_out out;

static void open_json(const struct pen_schema *schema)
{
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, schema, reason.text, sizeof reason.text), 0);
    CU_ASSERT_EQUAL_FATAL(eng_json_open(&json, &layout, &reason), 0);
    eng_builder_open(&builder, &layout, 0);
}

static void close_json(void)
{
    eng_builder_close(&builder);
    eng_json_close(&json);
    eng_layout_close(&layout);
    eng_text_out_close(&out);
}

static const void *decode(const char *text)
{
    const void *record;
    uint32_t bytes;

    if (!eng_json_decode(&json, pen_view_from(text), &builder, &reason)) return NULL;
    record = eng_builder_finish(&builder, &bytes);
    CU_ASSERT_EQUAL_FATAL(eng_record_verify(&layout, record, bytes), 0);
    return record;
}

static const char *encoded(const void *record)
{
    eng_text_out_clear(&out);
    eng_json_encode(&json, record, &out);
    eng_text_out_char(&out, '\0');
    return out.bytes;
}

#define THING_REST                                                                                 \
    "\"flag\":true,\"small\":-5,\"large\":-9223372036854775808,\"huge\":18446744073709551615,"     \
    "\"real\":0.1,\"number\":-1.5e300,\"at\":\"2013-01-01T10:15:00.5Z\",\"day\":\"2013-01-01\","   \
    "\"code\":\"EUR\",\"bytes\":\"AAEC\",\"chars\":\"ab\",\"list\":[1,-2,3]"

static void every_type_is_read_and_written(void)
{
    const struct thing *thing;

    open_json(&thing_schema);
    thing = decode("{" THING_REST ",\"text\":\"a \\\"q\\\" \\u00e9\\ud83d\\ude80\\n\\/\"}\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(thing);
    CU_ASSERT_TRUE(thing->flag);
    CU_ASSERT_EQUAL(thing->small, -5);
    CU_ASSERT_EQUAL(thing->large, INT64_MIN);
    CU_ASSERT_EQUAL(thing->huge, UINT64_MAX);
    CU_ASSERT_TRUE(thing->real == 0.1f);
    CU_ASSERT_TRUE(thing->number == -1.5e300);
    CU_ASSERT_EQUAL(thing->at.us, 1357035300500000);
    CU_ASSERT_EQUAL(thing->day.days, 15706);
    CU_ASSERT_TRUE(pen_text_equal(&thing->code, "EUR"));
    CU_ASSERT_TRUE(pen_text_equal(&thing->text, "a \"q\" \xc3\xa9\xf0\x9f\x9a\x80\n/"));
    CU_ASSERT_TRUE(pen_text_equal(&thing->bytes, pen_view_sized("\0\1\2", 3)));
    CU_ASSERT_EQUAL(memcmp(thing->chars, "ab\0", 4), 0);
    CU_ASSERT_EQUAL(thing->list[1], -2);
    CU_ASSERT_STRING_EQUAL(
        encoded(thing),
        "{\"flag\":true,\"small\":-5,\"large\":-9223372036854775808,\"huge\":18446744073709551615,"
        "\"real\":0.1,\"number\":-1.5e+300,\"at\":\"2013-01-01T10:15:00.5Z\",\"day\":\"2013-01-"
        "01\","
        "\"code\":\"EUR\",\"text\":\"a \\\"q\\\" \xc3\xa9\xf0\x9f\x9a\x80\\n/\",\"bytes\":\"AAEC\","
        "\"chars\":\"ab\",\"list\":[1,-2,3]}");
    close_json();
}

static void numbers_stand_for_times_and_strings_for_decimals(void)
{
    struct pen_field fields[] = {{"at", 0, 8, PEN_TYPE_TIME, 0, 0, 0},
                                 {"money", 8, 8, PEN_TYPE_DECIMAL64, 0, 10, 2},
                                 {"of_day", 16, 8, PEN_TYPE_TIME_OF_DAY, 0, 0, 0}};
    struct pen_schema schema = {PEN_ABI, 24, 8, 3, "s", fields, sizeof fields[0], 0};
    const int64_t *record;

    open_json(&schema);
    record = decode("{\"at\":1500,\"money\":12.5,\"of_day\":\"10:15:00\"}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(record);
    CU_ASSERT_EQUAL(record[0], 1500);
    CU_ASSERT_EQUAL(record[1], 1250);
    CU_ASSERT_EQUAL(record[2], 36900000000);
    CU_ASSERT_STRING_EQUAL(
        encoded(record),
        "{\"at\":\"1970-01-01T00:00:00.0015Z\",\"money\":12.50,\"of_day\":\"10:15:00\"}");
    record = decode("{\"at\":9223372036854775807,\"money\":\"-0.01\",\"of_day\":-3}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(record);
    CU_ASSERT_EQUAL(record[1], -1);
    CU_ASSERT_STRING_EQUAL(encoded(record),
                           "{\"at\":9223372036854775807,\"money\":-0.01,\"of_day\":-3}");
    CU_ASSERT_PTR_NULL(decode("{\"at\":1500,\"money\":12.505,\"of_day\":0}"));
    assert_says(reason.text, "field money: \"12.505\" is no decimal64");
    CU_ASSERT_PTR_NULL(decode("{\"at\":15.5,\"money\":12,\"of_day\":0}"));
    assert_says(reason.text, "field at: \"15.5\" is no time");
    close_json();
}

static void bad_records_say_what_is_wrong(void)
{
    static const struct {
        const char *text, *reason;
    } bad[] = {
        {"", "not an object of JSON"},
        {"   ", "not an object of JSON"},
        {"5", "a number, not an object"},
        {"\"x\"", "a string, not an object"},
        {"null", "null, not an object"},
        {"true", "true, not an object"},
        {"[]", "an array, not an object"},
        {"[{}]", "an array, not an object"},
        {"{", "not an object of JSON"},
        {"{}", "field flag: absent or null, which bool cannot be"},
        {"{" THING_REST "}", "field text: absent or null, which string cannot be"},
        {"{" THING_REST ",\"text\":null}", "field text: absent or null"},
        {"{" THING_REST ",\"text\":\"x\",\"text\":null}", "field text: absent or null"},
        {"{" THING_REST ",\"text\":5}", "field text: \"5\" is no string"},
        {"{" THING_REST ",\"text\":true}", "field text: true, not string"},
        {"{" THING_REST ",\"text\":{}}", "field text: an object, not string"},
        {"{" THING_REST ",\"text\":[]}", "field text: an array, not string"},
        {"{\"flag\":1}", "field flag: \"1\" is no bool"},
        {"{\"flag\":\"true\"}", "field flag: a string, not bool"},
        {"{\"small\":128}", "field small: \"128\" does not fit into int8"},
        {"{\"small\":1.0}", "field small: \"1.0\" is no int8"},
        {"{\"small\":1e1}", "field small: \"1e1\" is no int8"},
        {"{\"small\":\"1\"}", "field small: a string, not int8"},
        {"{\"large\":9223372036854775808}", "does not fit into int64"},
        {"{\"huge\":18446744073709551616}", "is no uint64"},
        {"{\"huge\":-1}", "does not fit into uint64"},
        {"{\"real\":1e39}", "does not fit into float"},
        {"{\"number\":1e400}", "field number: \"1e400\" is no double"},
        {"{\"number\":NaN}", "not an object of JSON"},
        {"{\"at\":\"2013\"}", "field at: a number as a string, not time"},
        {"{\"at\":\"2013-01-01\"}", "field at: \"2013-01-01\" is no time"},
        {"{\"day\":\"2013-02-30\"}", "is no date"},
        {"{\"code\":\"123456789\"}", "longer than its 8 bytes"},
        {"{\"bytes\":\"A\"}", "is no base64"},
        {"{\"list\":5}", "field list: a number, not an array of int32"},
        {"{\"list\":[1,2]}", "field list: 2 elements, not 3"},
        {"{\"list\":[1,2,3,4]}", "field list: more than 3 elements"},
        {"{\"list\":[1,null,3]}", "field list: null, not int32"},
        {"{\"list\":[1,[2],3]}", "field list: an array, not int32"},
        {"{\"list\":[1,{},3]}", "field list: an object, not int32"},
        {"{\"list\":[1,true,3]}", "field list: true, not int32"},
        {"{\"list\":[1,3000000000,3]}", "does not fit into int32"},
        {"{" THING_REST ",\"text\":\"\"} x", "not an object of JSON"},
        {"{" THING_REST ",\"text\":\"\"}{}", "not an object of JSON"},
        {"{" THING_REST ",\"text\":\"\",}", "not an object of JSON"},
        {"{" THING_REST ",\"text\":\"\xff\"}", "not UTF-8 at byte"},
        {"{" THING_REST ",\"other\":\"\xed\xa0\x80\"}", "not UTF-8 at byte"},
        {"{" THING_REST ",\"text\":\"\\ud83d\"}", "half a surrogate pair"},
        {"{" THING_REST ",\"text\":\"\\ude80\\ud83d\"}", "half a surrogate pair"},
        {"{" THING_REST ",\"text\":\"\\ud83d\\u0041\"}", "half a surrogate pair"},
        {"{" THING_REST ",\"text\":\"\\x\"}", "not an object of JSON"},
        {"{" THING_REST ",\"text\":\"\\u12g4\"}", "not an object of JSON"},
        {"{" THING_REST ",\"text\":\"a\nb\"}", "not an object of JSON"},
        {"{" THING_REST ",\"text\":\"", "not an object of JSON"},
        {"{\"small\":01}", "not an object of JSON"},
        {"{\"small\":-}", "not an object of JSON"},
        {"{\"small\":+1}", "not an object of JSON"},
        {"{small:1}", "not an object of JSON"},
        {"{'small':1}", "not an object of JSON"},
        {"{\"small\":1 /* no */}", "not an object of JSON"},
    };

    open_json(&thing_schema);
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (decode(bad[i].text)) {
            printf("\n  %s was read\n", bad[i].text);
            CU_FAIL("what is bad was read");
            continue;
        }
        assert_says(reason.text, bad[i].reason);
    }
    CU_ASSERT_FALSE(eng_json_decode(&json, pen_view_sized(NULL, 0), &builder, NULL));
    close_json();
}

static void unknown_members_are_skipped_and_the_last_of_twins_counts(void)
{
    const struct thing *thing;

    open_json(&thing_schema);
    thing = decode(
        "{\"other\":{\"small\":[1,{\"small\":2}],\"large\":{}},\"x\":[[],[{\"list\":[null]}]],"
        "\"\":null,\"text\":\"first, which is longer\",\"small\":3,\"list\":[7,8,9],"
        "\"small\":99,\"person.x\":1,\"text\":\"kept\"," THING_REST ",\"small\":null,\"small\":4,"
        "\"deep\":[[[[1,true,\"x\",null,{\"a\":{}}]]]]}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(thing);
    CU_ASSERT_EQUAL(thing->small, 4);
    CU_ASSERT_EQUAL(thing->list[0], 1);
    CU_ASSERT_TRUE(pen_text_equal(&thing->text, "kept"));
    close_json();
}

static void paths_are_objects_within_objects(void)
{
    const void *record;

    open_json(&person_schema);
    record = decode("{\"person\":{\"home\":{\"zip\":8001,\"city\":\"Z\",\"x\":1},\"name\":\"A\"},"
                    "\"id\":7,\"age\":null}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(record);
    CU_ASSERT_STRING_EQUAL(encoded(record), "{\"id\":7,\"person\":{\"name\":\"A\",\"home\":{"
                                            "\"city\":\"Z\",\"zip\":8001}},\"age\":null}");
    record = decode("{\"id\":7,\"person\":{\"home\":{\"zip\":8001}},\"age\":3}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(record);
    CU_ASSERT_STRING_EQUAL(
        encoded(record),
        "{\"id\":7,\"person\":{\"name\":null,\"home\":{\"city\":null,\"zip\":8001}},\"age\":3}");
    record = decode("{\"id\":7,\"person\":{\"name\":\"B\",\"home\":null}}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(record);
    CU_ASSERT_STRING_EQUAL(encoded(record), "{\"id\":7,\"person\":{\"name\":\"B\"},\"age\":null}");
    record = decode("{\"id\":7,\"person\":{\"name\":\"B\",\"home\":{\"zip\":5}},\"person\":null,"
                    "\"person.name\":\"not this\",\"zip\":6}");
    CU_ASSERT_PTR_NOT_NULL_FATAL(record);
    CU_ASSERT_STRING_EQUAL(encoded(record), "{\"id\":7,\"age\":null}");

    CU_ASSERT_PTR_NULL(decode("{\"id\":7,\"person\":5}"));
    CU_ASSERT_STRING_EQUAL(reason.text, "member person: a number, not an object");
    CU_ASSERT_PTR_NULL(decode("{\"id\":7,\"person\":{\"home\":[]}}"));
    CU_ASSERT_STRING_EQUAL(reason.text, "member home: an array, not an object");
    CU_ASSERT_PTR_NULL(decode("{\"person\":{\"id\":7}}"));
    assert_says(reason.text, "field id: absent");
    close_json();
}

static void a_schema_that_is_no_tree_is_refused(void)
{
    static const struct {
        const char *a, *b, *reason;
    } bad[] = {{"a", "a.b", "a is a field and an object"},
               {"a.b.c", "a.b", "a.b is a field and an object"},
               {".a", "b", "a part of the path is empty"},
               {"a.", "b", "a part of the path is empty"},
               {"b", "a..b", "a part of the path is empty"},
               {"b",
                "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
                "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a",
                "more than 64 parts"}};

    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct pen_field fields[] = {{bad[i].a, 0, 4, PEN_TYPE_INT32, 0, 0, 0},
                                     {bad[i].b, 4, 4, PEN_TYPE_INT32, 0, 0, 0}};
        struct pen_schema schema = {PEN_ABI, 8, 4, 2, "s", fields, sizeof fields[0], 0};

        CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &schema, NULL, 0), 0);
        CU_ASSERT_EQUAL(eng_json_open(&json, &layout, &reason), -EINVAL);
        assert_says(reason.text, bad[i].reason);
        eng_layout_close(&layout);
    }
}

static void depth_is_bounded(void)
{
    char text[1024];
    uint32_t size;

    open_json(&person_schema);
    for (uint32_t depth = ENG_JSON_DEPTH_MAX - 2; depth <= ENG_JSON_DEPTH_MAX + 1; depth++) {
        size = (uint32_t)snprintf(text, sizeof text, "{\"id\":1,\"x\":");
        memset(text + size, '[', depth);
        memset(text + size + depth, ']', depth);
        text[size + 2 * depth] = '}';
        text[size + 2 * depth + 1] = '\0';
        CU_ASSERT_EQUAL(decode(text) != NULL, depth + 1 <= ENG_JSON_DEPTH_MAX);
    }
    assert_says(reason.text, "nested deeper than 64");
    close_json();
}

static void what_json_cannot_hold_is_written_as_what_it_can(void)
{
    struct {
        struct thing thing;
        char text[8];
    } memory = {{.real = INFINITY, .number = (double)NAN, .code = {"\xff"}}, "a\xffz\0\x1f\x7f"};

    open_json(&thing_schema);
    memory.thing.text.offset_bytes = (int32_t)(memory.text - (char *)&memory.thing.text);
    memory.thing.text.size_bytes = 6;
    assert_says(encoded(&memory.thing),
                "\"real\":null,\"number\":null,\"at\":\"1970-01-01T00:00:00Z\"");
    assert_says(out.bytes, "\"code\":\"\xef\xbf\xbd\"");
    assert_says(out.bytes, "\"text\":\"a\xef\xbf\xbdz\\u0000\\u001f\\u007f\"");
    CU_ASSERT_PTR_NULL(decode(out.bytes)); /* double null, and the field cannot be */
    close_json();
}

static void random_records_come_back(void)
{
    for (uint64_t seed = 1; seed <= 600; seed++) {
        struct random random = {seed};
        struct random_schema s;
        struct eng_builder to;
        uint32_t bytes;

        random_schema_open(&random, &s, false);
        open_json(&s.schema);
        eng_builder_open(&to, &layout, 0);
        for (uint32_t i = 0; i < 20; i++) {
            const void *record = random_record(&random, &builder, true, &bytes), *back;

            eng_text_out_clear(&out);
            eng_json_encode(&json, record, &out);
            CU_ASSERT_EQUAL(eng_utf8_good(eng_text_out_view(&out)), out.size_bytes);
            CU_ASSERT_PTR_NULL(memchr(out.bytes, '\n', out.size_bytes));
            if (!eng_json_decode(&json, eng_text_out_view(&out), &to, &reason)) {
                printf("\n  seed %u: %s\n  %.*s\n", (unsigned)seed, reason.text,
                       (int)out.size_bytes, out.bytes);
                CU_FAIL("what was encoded was refused");
                continue;
            }
            back = eng_builder_finish(&to, &bytes);
            CU_ASSERT_EQUAL(eng_record_verify(&layout, back, bytes), 0);
            CU_ASSERT_TRUE(eng_record_equal(&layout, record, back));
        }
        eng_builder_close(&to);
        close_json();
        eng_layout_close(&s.layout);
    }
}

/* ---- Against python3 ------------------------------------------------------------------------- */

static const char python_program[] =
    "import json, random, sys\n"
    "random.seed(5)\n"
    "def text():\n"
    "    return "
    "''.join(random.choice(['a','\"','\\\\','/','\\n','\\t','\\x00','\\x7f','é','€','🚀',' ',"
    "',','{','\\u2028'])\n"
    "        for _ in range(random.randrange(12)))\n"
    "def junk(depth):\n"
    "    kind = random.randrange(7 if depth < 5 else 5)\n"
    "    return [None, True, random.randrange(-10**25, 10**25), random.uniform(-1e300, 1e300), "
    "text(),\n"
    "            [junk(depth + 1) for _ in range(random.randrange(3))] if kind == 5 else 0,\n"
    "            {text(): junk(depth + 1) for _ in range(random.randrange(3))} if kind == 6 else 0]"
    "[kind]\n"
    "with open(sys.argv[1], 'w', encoding='utf-8') as f:\n"
    "    for _ in range(4000):\n"
    "        number = random.choice([random.uniform(-1, 1), random.uniform(-1e300, 1e300), "
    "5e-324,\n"
    "                                random.randrange(-2**53, 2**53), 1.0])\n"
    "        record = {'flag': random.random() < 0.5, 'small': random.randrange(-128, 128),\n"
    "                  'large': random.randrange(-2**63, 2**63), 'huge': random.randrange(2**64),\n"
    "                  'real': random.randrange(2**20) / 64, 'number': number, 'at': 0,\n"
    "                  'day': random.randrange(-10**6, 10**6), 'code': 'X', 'text': text(),\n"
    "                  'bytes': '', 'chars': '', 'list': [random.randrange(-2**31, 2**31) for _ in"
    " range(3)]}\n"
    "        members = list(record.items()) + [('x' + text(), junk(0)) for _ in range(3)]\n"
    "        random.shuffle(members)\n"
    "        json.dump(dict(members), f, ensure_ascii=random.random() < 0.5,\n"
    "                  indent=None, separators=random.choice([(',', ':'), (' , ', ' : ')]))\n"
    "        f.write('\\n')\n";

static const char python_compare[] =
    "import json, struct, sys\n"
    "ours, theirs = (open(p, encoding='utf-8').read().split('\\n') for p in sys.argv[1:])\n"
    "assert len(ours) == len(theirs) == 4001, (len(ours), len(theirs))\n"
    "for a, b in zip(ours, theirs):\n"
    "    if not a: continue\n"
    "    a, b = json.loads(a), json.loads(b)\n"
    "    for name in a:\n"
    "        if name in ('at', 'day'): continue\n"
    "        if name == 'real': a[name], b[name] = (struct.pack('f', x[name]) for x in (a, b))\n"
    "        if a[name] != b[name]: sys.exit('%s: %r, not %r' % (name, a[name], b[name]))\n";

static bool python(const char *folder, const char *name, const char *program, const char *arguments)
{
    char path[512], command[2048];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(program, file);
    fclose(file);
    snprintf(command, sizeof command, "cd %s && python3 %s %s", folder, name, arguments);
    return system(command) == 0;
}

static void python_reads_what_we_write_and_writes_what_we_read(void)
{
    char folder[] = "/tmp/record_json_XXXXXX", path[512], command[512];
    FILE *in, *ours;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    uint32_t count = 0;

    if (system("python3 -c 'import json' 2>/dev/null") != 0) return;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    CU_ASSERT_TRUE_FATAL(python(folder, "make.py", python_program, "theirs.json"));
    snprintf(path, sizeof path, "%s/theirs.json", folder);
    in = fopen(path, "r");
    snprintf(path, sizeof path, "%s/ours.json", folder);
    ours = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ours);

    open_json(&thing_schema);
    while ((size = getline(&line, &capacity, in)) > 0) {
        if (!eng_json_decode(&json, pen_view_sized(line, (uint32_t)size), &builder, &reason)) {
            printf("\n  %s\n  %s\n", reason.text, line);
            CU_FAIL("what python wrote was refused");
            continue;
        }
        eng_text_out_clear(&out);
        eng_json_encode(&json, eng_builder_finish(&builder, NULL), &out);
        eng_text_out_char(&out, '\n');
        fwrite(out.bytes, 1, out.size_bytes, ours);
        count++;
    }
    fclose(in);
    fclose(ours);
    free(line);
    close_json();
    CU_ASSERT_EQUAL(count, 4000);
    CU_ASSERT_TRUE(python(folder, "compare.py", python_compare, "ours.json theirs.json"));
    snprintf(command, sizeof command, "rm -r %s", folder);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* ---- Size ------------------------------------------------------------------------------------ */

struct note {
    pen_string text;
};
PEN_RECORD(note, text);

static void a_record_of_the_limit_is_read_and_one_byte_more_is_not(void)
{
    const uint32_t room = ENG_RECORD_BYTES_MAX - 8;
    char *text = malloc(2 * ENG_RECORD_BYTES_MAX + 64);
    uint32_t bytes;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    open_json(&note_schema);
    for (uint32_t more = 0; more <= 1; more++) {
        memcpy(text, "{\"text\":\"", 9);
        memset(text + 9, 'x', room + more);
        memcpy(text + 9 + room + more, "\"}", 2);
        CU_ASSERT_EQUAL(
            eng_json_decode(&json, pen_view_sized(text, 9 + room + more + 2), &builder, &reason),
            more == 0);
        eng_builder_finish(&builder, &bytes);
        if (!more) CU_ASSERT_EQUAL(bytes, ENG_RECORD_BYTES_MAX);
    }
    assert_says(reason.text, "field text: with its 16777209 bytes");
    /* Escapes are undone in memory of their own. */
    for (uint32_t i = 0; i < room; i++)
        memcpy(text + 9 + 2 * (size_t)i, "\\n", 2);
    memcpy(text + 9 + 2 * (size_t)room, "\"}", 2);
    CU_ASSERT_TRUE(
        eng_json_decode(&json, pen_view_sized(text, 9 + 2 * room + 2), &builder, &reason));
    free(text);
    close_json();
}

static void a_line_of_100_megabytes_is_refused_or_skipped(void)
{
    enum { SIZE = 100 << 20 };
    char *text = malloc(SIZE);
    uint32_t prefix;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    open_json(&note_schema);
    memset(text, '[', SIZE);
    CU_ASSERT_FALSE(eng_json_decode(&json, pen_view_sized(text, SIZE), &builder, &reason));
    memset(text, '{', SIZE);
    CU_ASSERT_FALSE(eng_json_decode(&json, pen_view_sized(text, SIZE), &builder, &reason));
    prefix = (uint32_t)snprintf(text, 64, "{\"text\":\"kept\",\"other\":\"");
    memset(text + prefix, 'z', SIZE - prefix);
    CU_ASSERT_FALSE(eng_json_decode(&json, pen_view_sized(text, SIZE), &builder, &reason));
    memcpy(text + SIZE - 2, "\"}", 2);
    CU_ASSERT_TRUE(eng_json_decode(&json, pen_view_sized(text, SIZE), &builder, &reason));
    free(text);
    close_json();
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(every_type_is_read_and_written),
        RECORD_TEST(numbers_stand_for_times_and_strings_for_decimals),
        RECORD_TEST(bad_records_say_what_is_wrong),
        RECORD_TEST(unknown_members_are_skipped_and_the_last_of_twins_counts),
        RECORD_TEST(paths_are_objects_within_objects),
        RECORD_TEST(a_schema_that_is_no_tree_is_refused),
        RECORD_TEST(depth_is_bounded),
        RECORD_TEST(what_json_cannot_hold_is_written_as_what_it_can),
        RECORD_TEST(random_records_come_back),
        RECORD_TEST(python_reads_what_we_write_and_writes_what_we_read),
        RECORD_TEST(a_record_of_the_limit_is_read_and_one_byte_more_is_not),
        RECORD_TEST(a_line_of_100_megabytes_is_refused_or_skipped),
    };
    return record_run("record/json", tests, sizeof tests / sizeof tests[0]);
}

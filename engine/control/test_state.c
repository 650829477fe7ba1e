/* The state argument of a key, looked up in the tables of all workers of a test. */
#include <stdlib.h>
#include <string.h>

#include "engine/control/test.h"
#include "engine/job/similar.h"
#include "engine/operator/operators.h"
#include "engine/operator/process.h"

static const struct eng_node *state_find_node(const struct pen_test *test, const char *id)
{
    const struct eng_plan *plan = &test->local.plan;
    struct eng_similar similar = {.wanted = id};

    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (strcmp(plan->nodes[i]->id, id) == 0) return plan->nodes[i];
        eng_similar_offer(&similar, plan->nodes[i]->id);
    }
    if (similar.best)
        eng_test_abort(test, "pen_test_state: no operator has the id %s; did you mean %s?", id,
                       similar.best);
    eng_test_abort(test, "pen_test_state: no operator has the id %s", id);
}

static void state_check_schema(const struct pen_test *test, const struct eng_node *node,
                               const struct pen_schema *schema)
{
    if (node->class != &eng_process_class && node->class != &eng_process_two_class)
        eng_test_abort(test, "pen_test_state: %s keeps no state argument", node->title);
    if (!eng_schema_same(schema, node->function->state))
        eng_test_abort(test, "pen_test_state: it asks for %s, and %s keeps %s", schema->name,
                       node->title, node->function->state->name);
}

/* Whether the first field of a key's image is this. */
static bool state_key_is(const struct eng_key *key, const void *image, pen_dict_key wanted)
{
    if (key->layout.field_count == 0) return true;
    const struct eng_field *first = &key->layout.fields[0];
    if (eng_field_is_null(first, image)) return false;
    bool is_text = eng_type_is_text(first->type) || first->type == PEN_TYPE_CODE ||
                   first->type == PEN_TYPE_CHARS;
    if (is_text != (wanted.text.data != NULL)) return false;
    if (is_text) return pen_view_equal_views(eng_field_text(first, image), wanted.text);
    return eng_field_int(first, image) == wanted.number;
}

static const void *state_copy(struct pen_test *test, const struct pen_schema *schema,
                              const void *state)
{
    struct eng_layout layout;
    char reason[ENG_REASON_BYTES];

    CHECK(eng_layout_open(&layout, schema, reason, sizeof reason) == 0); /* as the graph did */
    uint32_t bytes = state ? eng_record_bytes(&layout, state) : layout.fixed_bytes;
    CHECK(bytes > 0);
    free(test->looked_at);
    test->looked_at = calloc(1, bytes);
    CHECK(test->looked_at != NULL);
    if (state) CHECK(eng_record_copy(&layout, test->looked_at, bytes, state) == bytes);
    eng_layout_close(&layout);
    return test->looked_at;
}

/* A key whose time to live is over is no longer known, whoever may have met it last. */
static bool state_is_over(const pen_context *ctx, char *entry)
{
    const struct process_plan *plan = ctx->node->compiled;

    if (plan->ttl_us == 0) return false;
    return process_is_over(plan, entry, eng_states_now(ctx, plan->ttl_clock));
}

/* Looks through one subtask; *state: that of a key that was found, NULL: it is all zeros. Returns
 * how many were found. */
static uint32_t state_look(const pen_context *ctx, pen_dict_key wanted, const void **state)
{
    const struct process_plan *plan = ctx->node->compiled;
    const struct process *self = ctx->self;
    struct eng_table_walk walk;
    const void *image;
    uint32_t found = 0;
    void *entry;

    eng_table_walk_all(&walk, self->keyed.table);
    while (eng_table_walk_next(&walk, NULL, &image, NULL, &entry)) {
        if (!state_key_is(self->keyed.key, image, wanted) || state_is_over(ctx, entry)) continue;
        *state = plan->has_texts ? ((const struct eng_state_blob *)entry)->record : entry;
        found++;
    }
    return found;
}

const void *pen_test_state_of(pen_test *test, const char *id, const struct pen_schema *schema,
                              pen_dict_key key)
{
    const void *state = NULL;
    uint32_t found = 0;

    eng_test_must_be_running(test, "pen_test_state");
    const struct eng_node *node = state_find_node(test, id);
    state_check_schema(test, node, schema);
    for (uint32_t w = 0; w < test->local.worker_count; w++)
        for (uint32_t c = 0; c < test->local.workers[w]->chain_count; c++) {
            const struct eng_chain *chain = test->local.workers[w]->chains[c];
            for (uint32_t i = 0; i < chain->context_count; i++)
                if (chain->contexts[i]->node == node)
                    found += state_look(chain->contexts[i], key, &state);
        }
    if (found > 1)
        eng_test_abort(test,
                       "pen_test_state: several keys of %s begin so, and only the first field "
                       "is looked at",
                       node->title);
    return found ? state_copy(test, schema, state) : NULL;
}

/* A plan as people read it. Chains are boxes, upstream first; inside a box operators stand below
 * the one that calls them; below a box its exchanges, as arrows. 100 columns. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/job/plan.h"
#include "shm/check.h"

enum { EXPLAIN_COLUMNS = 100, EXPLAIN_ID_COLUMN = 50 };

const char *eng_plan_bytes_text(uint64_t bytes, char *to)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double amount = (double)bytes;
    uint32_t unit = 0;

    while (amount >= 1024 && unit < 4) {
        amount /= 1024;
        unit++;
    }
    snprintf(to, 32, amount == (double)(uint64_t)amount ? "%.0f %s" : "%.1f %s", amount,
             units[unit]);
    return to;
}

static const char *explain_plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

/* "0-3, 7": numbers that need not be sorted, runs joined. */
static void explain_numbers(const uint32_t *numbers, uint32_t count, char *to, size_t bytes)
{
    size_t at = 0;

    to[0] = '\0';
    for (uint32_t i = 0; i < count && at < bytes;) {
        uint32_t end = i + 1;
        while (end < count && numbers[end] == numbers[end - 1] + 1)
            end++;
        if (end - i > 1)
            at += (size_t)snprintf(to + at, bytes - at, "%s%u-%u", i ? ", " : "", numbers[i],
                                   numbers[end - 1]);
        else
            at += (size_t)snprintf(to + at, bytes - at, "%s%u", i ? ", " : "", numbers[i]);
        i = end;
    }
    if (at >= bytes) memcpy(to + bytes - 4, "...", 4);
}

/* ---- Boxes ----------------------------------------------------------------------------------- */

static void explain_rule(FILE *out, const char *text)
{
    int used = fprintf(out, "+%s%s%s", *text ? "- " : "", text, *text ? " " : "");

    for (; used < EXPLAIN_COLUMNS - 1; used++)
        fputc('-', out);
    fputs("+\n", out);
}

static void explain_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void explain_line(FILE *out, const char *format, ...)
{
    char text[EXPLAIN_COLUMNS - 3];
    va_list args;

    va_start(args, format);
    int bytes = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (bytes >= (int)sizeof text) memcpy(text + sizeof text - 4, "...", 4);
    fprintf(out, "| %-*s |\n", EXPLAIN_COLUMNS - 4, text);
}

/* Whether `node` is called directly by `from`, in their chain. */
static bool explain_is_below(const struct eng_plan *plan, uint32_t node, uint32_t from)
{
    const struct eng_node *below = plan->nodes[node];
    return below->input_count == 1 && below->inputs[0].from_node == from;
}

static void explain_operator(const struct eng_plan *plan, const struct eng_plan_chain *chain,
                             uint32_t index, int depth, FILE *out)
{
    const struct eng_node *node = plan->nodes[chain->nodes[index]];
    char left[EXPLAIN_COLUMNS];

    snprintf(left, sizeof left, "%*s%s%s", 3 * (depth > 0 ? depth - 1 : 0), "", depth ? "`- " : "",
             node->title);
    if (strlen(left) > EXPLAIN_ID_COLUMN) {
        explain_line(out, "%s", left);
        left[0] = '\0';
    }
    explain_line(out, "%-*s %s%s", EXPLAIN_ID_COLUMN, left, node->id_is_default ? "" : "id ",
                 node->id_is_default ? "" : node->id);
    for (uint32_t i = index + 1; i < chain->node_count; i++)
        if (explain_is_below(plan, chain->nodes[i], node->number))
            explain_operator(plan, chain, i, depth + 1, out);
}

/* ---- Exchanges ------------------------------------------------------------------------------- */

static void explain_key(const struct eng_node_input *input, char *to, size_t bytes)
{
    size_t at = 0;

    if (input->key_function) {
        snprintf(to, bytes, "keyed with %s", input->key_function->name);
        return;
    }
    if (input->key->layout.field_count == 0 || input->key->plan.step_count == 0) {
        snprintf(to, bytes, "all under one key");
        return;
    }
    at += (size_t)snprintf(to, bytes, "keyed by ");
    for (uint32_t i = 0; i < input->key->layout.field_count && at < bytes; i++)
        at += (size_t)snprintf(to + at, bytes - at, "%s%s", i ? ", " : "",
                               input->key->layout.fields[i].name);
}

static void explain_exchange(const struct eng_plan *plan, const struct eng_plan_exchange *exchange,
                             FILE *out)
{
    const struct eng_node *from = plan->nodes[exchange->from_node];
    const struct eng_node *to = plan->nodes[exchange->to_node];
    const struct eng_node_input *input = &to->inputs[exchange->input];
    char how[128], rings[64], bytes[32];

    switch (exchange->kind) {
    case ENG_FORWARD:
        snprintf(how, sizeof how, "one to one");
        break;
    case ENG_KEYED:
        explain_key(input, how, sizeof how);
        break;
    case ENG_REBALANCE:
        snprintf(how, sizeof how, "dealt out evenly");
        break;
    case ENG_BROADCAST:
        snprintf(how, sizeof how, "to all, in one order");
        break;
    }
    if (exchange->ring_count == 0)
        snprintf(rings, sizeof rings, "on the same worker");
    else
        snprintf(rings, sizeof rings, "%u ring%s of %s", exchange->ring_count,
                 explain_plural(exchange->ring_count),
                 eng_plan_bytes_text(exchange->ring_bytes, bytes));
    fprintf(out, "    |  %s%s%s -> chain %u %s%s, %s, %s\n", from->title,
            exchange->from_output ? "." : "",
            exchange->from_output ? from->outputs[exchange->from_output].name : "",
            exchange->to_chain, to->title, input->port ? " (right)" : "", how, rings);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void explain_chain(const struct eng_plan *plan, const struct eng_plan_chain *chain,
                          FILE *out)
{
    char workers[40], title[96], group[40];
    bool has_exchange = false;

    explain_numbers(chain->workers, chain->parallelism, workers, sizeof workers);
    snprintf(group, sizeof group, "%s%s", chain->group ? ", group " : "",
             chain->group ? chain->group : "");
    snprintf(title, sizeof title, "chain %u: %u subtask%s on %s %s%s", chain->number,
             chain->parallelism, explain_plural(chain->parallelism),
             chain->blocking          ? "helper"
             : chain->parallelism > 1 ? "workers"
                                      : "worker",
             workers, group);
    explain_rule(out, title);
    explain_operator(plan, chain, 0, 0, out);
    explain_rule(out, "");
    for (uint32_t e = 0; e < plan->exchange_count; e++) {
        if (plan->exchanges[e].from_chain != chain->number) continue;
        explain_exchange(plan, &plan->exchanges[e], out);
        has_exchange = true;
    }
    if (has_exchange) fprintf(out, "    v\n");
}

void eng_plan_explain(const struct eng_plan *plan, FILE *out)
{
    uint32_t helpers = plan->worker_count - plan->core_worker_count;
    char rings[32], board[32];

    fprintf(out, "%u operator%s in %u chain%s; %u worker%s", plan->node_count,
            explain_plural(plan->node_count), plan->chain_count, explain_plural(plan->chain_count),
            plan->core_worker_count, explain_plural(plan->core_worker_count));
    if (plan->core_worker_count > 0 && plan->workers[0].core >= 0)
        fprintf(out, ", each on a core of its own");
    else if (plan->core_worker_count > plan->core_count)
        fprintf(out, " on %u core%s, not pinned, because there are more of them", plan->core_count,
                explain_plural(plan->core_count));
    if (helpers > 0)
        fprintf(out, "; %u helper%s for what may block", helpers, explain_plural(helpers));
    fprintf(out, "\n%u ring%s with %s, board with %s\n\n", plan->ring_count,
            explain_plural(plan->ring_count), eng_plan_bytes_text(plan->ring_memory_bytes, rings),
            eng_plan_bytes_text(plan->board_bytes, board));
    for (uint32_t c = 0; c < plan->chain_count; c++)
        explain_chain(plan, &plan->chains[c], out);
    if (plan->core_worker_count == 0 || plan->workers[0].core < 0) return;
    fprintf(out, "\ncores:");
    for (uint32_t w = 0; w < plan->core_worker_count; w++)
        fprintf(out, "%s worker %u on %d", w ? "," : "", w, plan->workers[w].core);
    fprintf(out, "\n");
}

void eng_plan_print_memory(const struct eng_plan *plan, FILE *out)
{
    char text[32];

    fprintf(out, "Shared memory that this plan maps, in bytes:\n\n");
    fprintf(out, "%16" PRIu64 "  board: %u workers, %u subtasks, %u rings\n", plan->board_bytes,
            plan->worker_count, plan->subtask_count, plan->ring_count);
    for (uint32_t e = 0; e < plan->exchange_count; e++) {
        const struct eng_plan_exchange *exchange = &plan->exchanges[e];
        fprintf(out, "%16" PRIu64 "  exchange %u, %s -> %s: %u ring%s of %s\n",
                exchange->ring_count * exchange->ring_bytes, e,
                plan->nodes[exchange->from_node]->title, plan->nodes[exchange->to_node]->title,
                exchange->ring_count, explain_plural(exchange->ring_count),
                eng_plan_bytes_text(exchange->ring_bytes, text));
    }
    uint64_t sum = plan->board_bytes + plan->ring_memory_bytes;
    fprintf(out, "%16" PRIu64 "  in all (%s)\n", sum, eng_plan_bytes_text(sum, text));
}

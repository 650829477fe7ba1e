/* No helpers: the simulator has no sockets, so a simulated worker calls the function itself. */
#include "engine/operator/async.h"

bool eng_crew_is_possible(const pen_context *ctx)
{
    (void)ctx;
    return false;
}

struct eng_crew *eng_crew_open(pen_context *ctx, uint32_t helpers_max, uint64_t timeout_ns)
{
    (void)ctx, (void)helpers_max, (void)timeout_ns;
    CHECK(false);
}

void eng_crew_close(struct eng_crew *crew)
{
    CHECK(crew == NULL);
}

bool eng_crew_give(struct eng_crew *crew, struct eng_async_entry *entry, uint32_t waiting)
{
    (void)crew, (void)entry, (void)waiting;
    CHECK(false);
}

unsigned eng_crew_step(struct eng_crew *crew)
{
    (void)crew;
    CHECK(false);
}

void eng_crew_end(struct eng_crew *crew)
{
    (void)crew;
    CHECK(false);
}

bool eng_crew_is_gone(const struct eng_crew *crew)
{
    (void)crew;
    CHECK(false);
}

/*
 * writer_judge.c — asking the program in which the server lives about a message (server/writer.h).
 *
 * Uses: answer, the program's handler.  Used by: writer_group.c.
 * Never: asks about a message of a stream that is lost, or asks and then has no room to say what
 * was answered.
 */
#include "server/answer.h"
#include "server/writer_internal.h"
#include "wire/message.h"

#include <string.h>

/* The first to come back of the batches with outcomes for this stream's worker. */
static struct writer_batch *writer_batch_for_answers(const struct writer *writer,
                                                     const struct writer_stream *stream)
{
    struct writer_batch *batch = writer->group;
    while (batch->port != stream->port && batch->next != NULL)
        batch = batch->next;
    return batch;
}

static enum certpost_decision writer_ask(const struct writer *writer,
                                         const struct writer_entry *entry,
                                         struct certpost_answer *ret_said)
{
    const struct writer_key *key = entry->stream->key;
    const struct certpost_message message = {
        .bytes = entry->bytes,
        .length = entry->length,
        .seq = entry->seq,
        .identity = key->bytes,
        .identity_length = key->identity_length,
        .stream = key->bytes + key->identity_length,
        .stream_length = key->name_length,
    };
    enum certpost_decision decision =
        writer->judge.decide(writer->judge.context, &message, ret_said);
    answer_complete(decision, ret_said);
    return decision;
}

/* From here on nothing of the stream is taken, and the answer says why. */
static void writer_reject(struct writer_stream *stream)
{
    writer_lose(stream, MESSAGE_CODE_REFUSED);
    stream->is_rejected = true;
    stream->is_lost_told = true;
}

bool writer_judge_takes(struct writer *writer, const struct writer_entry *entry)
{
    if (writer->judge.decide == NULL)
        return true;
    if (atomic_load(&writer->asks_no_more)) {
        writer_lose(entry->stream, MESSAGE_CODE_SHUTTING_DOWN);
        return false;
    }
    struct buffer *answers = &writer_batch_for_answers(writer, entry->stream)->answers;
    unsigned char *tail = NULL;
    if (buffer_reserve(answers, sizeof(struct writer_answer), &tail) != CERTPOST_OK) {
        writer_lose(entry->stream, MESSAGE_CODE_BUSY);
        return false;
    }
    struct writer_answer answer = {.stream = entry->stream, .seq = entry->seq};
    enum certpost_decision decision = writer_ask(writer, entry, &answer.said);
    answer.is_rejection = decision != CERTPOST_TAKE;
    if (answer.is_rejection || (entry->wants_reply && answer.said.text[0] != '\0')) {
        memcpy(tail, &answer, sizeof answer);
        buffer_commit(answers, sizeof answer);
    }
    if (answer.is_rejection)
        writer_reject(entry->stream);
    return !answer.is_rejection;
}

// Peers, what teachers are shown: what their roles are called, and the way to the replies that they are.

/** In the order in which graphs tell of them. */
const ROLE_NAMES = {
  reference: "the task's own solution", first_success: "a correct reply", summary: "a summary", second_success: "another correct reply",
  third_success: "a third correct reply", failure: "a wrong reply", peer: "a reply, outcome not told",
  unrelated: "a correct reply to another question", feedback: "the verifier's feedback on this reply",
};

function roleName(role) {
  return ROLE_NAMES[role] ?? role.replaceAll("_", " ");
}

/** A peer by its role, and the way to the reply that it is; `here`: the {round, prompt_id} that it was shown in. */
function peerWords(run, here, peer) {
  return isReply(peer) ? [roleName(peer.role), ", ", peerLink(run, here, peer)] : roleName(peer.role);
}

/** Whether somebody sampled it, as a reply of its own. */
function isReply({ role, sample }) {
  return sample !== null && role !== "feedback";
}

function peerLink(run, { round, prompt_id: prompt }, peer) {
  return el("a", { href: href(replyPlace(peer, peer.sample), run) }, `reply ${peer.sample}`,
    peer.prompt_id !== prompt && [" to ", el("bdi", {}, shownText(peer.prompt_id))],
    peer.round !== round && ` of round ${peer.round}`);
}

/** Several in a line. */
function peersInLine(run, here, peers) {
  return peers.map((peer, index) => [index > 0 && "; ", peerWords(run, here, peer), peerRemarks(peer).map((remark) => `, ${remark}`)]);
}

/** How what was shown differs from the reply. */
function peerRemarks(peer) {
  return [peer.fallback && "an excerpt, for want of a summary", peer.cut && "cut to fit"].filter(Boolean);
}

/** The place of a reply in its group. */
function replyPlace({ round, prompt_id }, sample) {
  return ["round", round, "prompt", prompt_id, "sample", sample];
}
